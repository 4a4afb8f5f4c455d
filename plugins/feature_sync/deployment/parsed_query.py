"""Whether SQL of Census may be run as a sub-query: exactly one query that only reads. SQL in, its text and its tables out."""

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from feature_sync.config.problems import UnusableQueryError
from feature_sync.storage.warehouse import quoted

DIALECT = "databricks"
NOT_READING: tuple[type[exp.Expr], ...] = (
    exp.DDL,
    exp.DML,
    exp.Alter,
    exp.Cache,
    exp.Command,
    exp.Drop,
    exp.Into,
    exp.Lock,
    exp.MultitableInserts,
)
"""What a query that only reads has nowhere in it."""
TEMPLATES = ("{{", "{%", "${")
"""How a place begins that Census fills in, so its value is not known here."""


@dataclass(frozen=True, slots=True)
class ReadingQuery:
    """
    One query that only reads.

    ``text``: as it was written, without comments around it and without a semicolon at its end. ``tree``: the same, parsed.
    """

    text: str
    tree: exp.Query

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables and views that it names by catalog, schema and table, each once, quoted as SQL needs it."""
        names = [table for table in self.tree.find_all(exp.Table) if table.catalog and table.db]
        plain = [".".join(quoted(part) for part in (each.catalog, each.db, each.name)) for each in names]
        return tuple(dict.fromkeys(plain))

    @property
    def only_table(self) -> str | None:
        """The table or view of a plain ``SELECT * FROM table``, quoted, or None if it is anything else."""
        parts = {name for name, part in self.tree.args.items() if part}
        is_star = isinstance(self.tree, exp.Select) and parts == {"expressions", "from_"} and self.tree.is_star
        if not is_star or len(self.tree.selects) != 1 or not isinstance(self.tree.args["from_"].this, exp.Table):
            return None
        return self.tables[0] if self.tables else None


def parse_query(text: str) -> ReadingQuery:
    """
    Read SQL that others wrote, before it is made a sub-query of ours.

    :raises UnusableQueryError: it is no single query, it does more than read, or it has a place that is filled in.
    """
    if found := next((each for each in TEMPLATES if each in text), None):
        raise UnusableQueryError(f"has a template ({found}), and only Census knows what it becomes")
    try:
        parsed = sqlglot.parse(text, dialect=DIALECT)
        tokens = sqlglot.tokenize(text, dialect=DIALECT)
    except (SqlglotError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UnusableQueryError(f"cannot be parsed as SQL of Databricks: {reason}") from error
    statements = [each for each in parsed if each is not None and type(each) is not exp.Semicolon]
    if len(statements) != 1:
        raise UnusableQueryError(f"has {len(statements)} statements" if statements else "is empty")
    [tree] = statements
    if not isinstance(tree, exp.Query):
        raise UnusableQueryError(f"is no SELECT but {_name(tree)}")
    if more := tree.find(*NOT_READING):
        raise UnusableQueryError(f"does more than read: it has {_name(more)}")
    if tree.find(exp.Placeholder, exp.Parameter):
        raise UnusableQueryError("has a parameter, and its value is not known here")
    query = ReadingQuery(_without_end(text, tokens), tree)
    _prove_contained(query)
    return query


def inner_query(query: ReadingQuery, name: str) -> str | None:
    """The text of the query that a WITH at the top calls ``name``, as it was written, or None if there is no such."""
    clause = query.tree.args.get("with_")
    if clause is None or name not in {each.alias.lower() for each in clause.expressions}:
        return None
    tokens = sqlglot.tokenize(query.text, dialect=DIALECT)
    depth, begin = 0, None
    for number, token in enumerate(tokens):
        if begin is None:
            following = tokens[number + 1 : number + 3]
            is_named = token.text.lower() == name and [each.token_type for each in following] == [
                TokenType.ALIAS,
                TokenType.L_PAREN,
            ]
            begin = following[1] if is_named else None
        elif token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                return query.text[begin.end + 1 : token.start].strip()
    return None


def _name(tree: exp.Expr) -> str:
    return str(tree.this) if isinstance(tree, exp.Command) else type(tree).__name__.upper()


def _without_end(text: str, tokens: list[Token]) -> str:
    while tokens[-1].token_type is TokenType.SEMICOLON:
        tokens = tokens[:-1]
    return text[tokens[0].start : tokens[-1].end + 1]


def _prove_contained(query: ReadingQuery) -> None:
    """Between brackets it must be the same query, so that its text cannot end the brackets itself."""
    try:
        around = sqlglot.parse_one(f"SELECT * FROM (\n{query.text}\n) AS source", dialect=DIALECT)
        inner = around.args["from_"].this.this
    except (SqlglotError, RecursionError, AttributeError, KeyError) as error:
        raise UnusableQueryError("cannot be made a sub-query") from error
    if inner != (query.tree.this if isinstance(query.tree, exp.Subquery) else query.tree) and inner != query.tree:
        raise UnusableQueryError("cannot be made a sub-query")
