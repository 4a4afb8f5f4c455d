import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.analysis.NamespaceAlreadyExistsException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.analysis.TableAlreadyExistsException;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.connector.catalog.CatalogV2Util;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.SupportsRowLevelOperations;
import org.apache.spark.sql.connector.catalog.SupportsWrite;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.connector.catalog.TableInfo;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.write.BatchWrite;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.DataWriterFactory;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.RowLevelOperation;
import org.apache.spark.sql.connector.write.RowLevelOperationBuilder;
import org.apache.spark.sql.connector.write.RowLevelOperationInfo;
import org.apache.spark.sql.connector.write.SupportsTruncate;
import org.apache.spark.sql.connector.write.Write;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A catalog whose tables lie in memory. Spark alone can neither UPDATE, DELETE nor MERGE: in Databricks the storage, Delta, lets it,
 * and no package of Python brings that. Spark parses, checks, plans and computes; here rows are only kept.
 */
public final class MemoryCatalog implements TableCatalog, SupportsNamespaces {
    private final Map<String, Map<String, MemoryTable>> schemas = new ConcurrentHashMap<>();
    private String catalog;

    @Override
    public void initialize(String name, CaseInsensitiveStringMap options) {
        catalog = name;
    }

    @Override
    public String name() {
        return catalog;
    }

    private static String key(String... parts) {
        return String.join(".", parts).toLowerCase(Locale.ROOT);
    }

    private Map<String, MemoryTable> schema(String[] namespace) throws NoSuchNamespaceException {
        Map<String, MemoryTable> tables = schemas.get(key(namespace));
        if (tables == null) {
            throw new NoSuchNamespaceException(namespace);
        }
        return tables;
    }

    @Override
    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        return schema(namespace).keySet().stream().map(table -> Identifier.of(namespace, table)).toArray(Identifier[]::new);
    }

    @Override
    public MemoryTable loadTable(Identifier name) throws NoSuchTableException {
        MemoryTable table = schemas.getOrDefault(key(name.namespace()), Map.of()).get(key(name.name()));
        if (table == null) {
            throw new NoSuchTableException(name);
        }
        return table;
    }

    @Override
    public Table createTable(Identifier name, TableInfo info) throws TableAlreadyExistsException, NoSuchNamespaceException {
        MemoryTable table = new MemoryTable(
                catalog + "." + key(name.namespace()) + "." + name.name(), info.columns(), info.properties());
        if (schema(name.namespace()).putIfAbsent(key(name.name()), table) != null) {
            throw new TableAlreadyExistsException(name);
        }
        return table;
    }

    /** Columns that are added are empty in the rows that are there. */
    @Override
    public Table alterTable(Identifier name, TableChange... changes) throws NoSuchTableException {
        MemoryTable table = loadTable(name);
        Stream<Column> added = Stream.of(changes)
                .map(TableChange.AddColumn.class::cast) // nothing else is asked for
                .map(column -> Column.create(column.fieldNames()[0], column.dataType(), column.isNullable()));
        MemoryTable altered =
                new MemoryTable(
                        table.name, Stream.concat(Stream.of(table.columns), added).toArray(Column[]::new), table.properties);
        InternalRow empty = new GenericInternalRow(changes.length);
        altered.rows = new ArrayList<>(table.rows.stream().map(row -> (InternalRow) new JoinedRow(row, empty)).toList());
        schemas.get(key(name.namespace())).put(key(name.name()), altered);
        return altered;
    }

    @Override
    public boolean dropTable(Identifier name) {
        return schemas.getOrDefault(key(name.namespace()), Map.of()).remove(key(name.name())) != null;
    }

    @Override
    public void renameTable(Identifier from, Identifier to) {
        throw new UnsupportedOperationException("RENAME");
    }

    @Override
    public String[][] listNamespaces() {
        return schemas.keySet().stream().map(name -> new String[] {name}).toArray(String[][]::new);
    }

    @Override
    public String[][] listNamespaces(String[] namespace) {
        return namespace.length == 0 ? listNamespaces() : new String[0][];
    }

    @Override
    public boolean namespaceExists(String[] namespace) {
        return schemas.containsKey(key(namespace));
    }

    @Override
    public Map<String, String> loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        schema(namespace);
        return Map.of();
    }

    @Override
    public void createNamespace(String[] namespace, Map<String, String> metadata) throws NamespaceAlreadyExistsException {
        if (schemas.putIfAbsent(key(namespace), new ConcurrentHashMap<>()) != null) {
            throw new NamespaceAlreadyExistsException(namespace);
        }
    }

    @Override
    public void alterNamespace(String[] namespace, NamespaceChange... changes) {
        throw new UnsupportedOperationException("ALTER SCHEMA");
    }

    @Override
    public boolean dropNamespace(String[] namespace, boolean cascade) {
        return schemas.remove(key(namespace)) != null;
    }

    private static final class MemoryTable implements Table, SupportsRead, SupportsWrite, SupportsRowLevelOperations {
        private final String name;
        private final Column[] columns;
        private final Map<String, String> properties;
        private volatile ArrayList<InternalRow> rows = new ArrayList<>();

        MemoryTable(String name, Column[] columns, Map<String, String> properties) {
            this.name = name;
            this.columns = columns;
            this.properties = properties;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public Column[] columns() {
            return columns;
        }

        @Override
        public Map<String, String> properties() {
            return properties;
        }

        StructType struct() {
            return CatalogV2Util.v2ColumnsToStructType(columns);
        }

        @Override
        public Set<TableCapability> capabilities() {
            return EnumSet.of(TableCapability.BATCH_READ, TableCapability.BATCH_WRITE, TableCapability.TRUNCATE);
        }

        @Override
        public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
            return () -> new WholeTable(struct(), new Rows(rows));
        }

        @Override
        public WriteBuilder newWriteBuilder(LogicalWriteInfo info) {
            return new Writing(this, false);
        }

        /** Spark reads the whole table and writes all of it anew. */
        @Override
        public RowLevelOperationBuilder newRowLevelOperationBuilder(RowLevelOperationInfo info) {
            return () -> new RowLevelOperation() {
                @Override
                public Command command() {
                    return info.command();
                }

                @Override
                public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
                    return MemoryTable.this.newScanBuilder(options);
                }

                @Override
                public WriteBuilder newWriteBuilder(LogicalWriteInfo writeInfo) {
                    return new Writing(MemoryTable.this, true);
                }
            };
        }
    }

    /** Rows on their way to or from a task, which gets a copy of them even in local mode. */
    private record Rows(ArrayList<InternalRow> rows) implements InputPartition, WriterCommitMessage { }

    private record WholeTable(StructType readSchema, Rows rows) implements Scan, Batch {
        @Override
        public Batch toBatch() {
            return this;
        }

        @Override
        public InputPartition[] planInputPartitions() {
            return new InputPartition[] {rows};
        }

        @Override
        public PartitionReaderFactory createReaderFactory() {
            return partition -> new Reader(((Rows) partition).rows());
        }
    }

    private static final class Reader implements PartitionReader<InternalRow> {
        private final List<InternalRow> rows;
        private int position = -1;

        Reader(List<InternalRow> rows) {
            this.rows = rows;
        }

        @Override
        public boolean next() {
            return ++position < rows.size();
        }

        @Override
        public InternalRow get() {
            return rows.get(position);
        }

        @Override
        public void close() { }
    }

    private static final class Writing implements WriteBuilder, SupportsTruncate, Write, BatchWrite {
        private final MemoryTable table;
        private boolean replaces;

        Writing(MemoryTable table, boolean replaces) {
            this.table = table;
            this.replaces = replaces;
        }

        @Override
        public WriteBuilder truncate() {
            replaces = true;
            return this;
        }

        @Override
        public Write build() {
            return this;
        }

        @Override
        public BatchWrite toBatch() {
            return this;
        }

        @Override
        public DataWriterFactory createBatchWriterFactory(PhysicalWriteInfo info) {
            return (partition, task) -> new Writer();
        }

        @Override
        public void commit(WriterCommitMessage[] messages) {
            ArrayList<InternalRow> all = replaces ? new ArrayList<>() : new ArrayList<>(table.rows);
            for (WriterCommitMessage message : messages) {
                all.addAll(((Rows) message).rows());
            }
            table.rows = all;
        }

        @Override
        public void abort(WriterCommitMessage[] messages) { }
    }

    private static final class Writer implements DataWriter<InternalRow> {
        private final ArrayList<InternalRow> rows = new ArrayList<>();

        @Override
        public void write(InternalRow row) {
            rows.add(row.copy()); // Spark fills the same object anew
        }

        @Override
        public WriterCommitMessage commit() {
            return new Rows(rows);
        }

        @Override
        public void abort() { }

        @Override
        public void close() { }
    }
}
