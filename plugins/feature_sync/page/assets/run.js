import { AIRFLOW, addressOf, airflowRun, airflowTask, ask, clock, complain, duration, make, number, outward, say, show } from './common.js';

const asked = new URLSearchParams(location.search);
const RUN = { dag_id: asked.get('dag_id') ?? '', run_id: asked.get('run_id') ?? '' };
const EVERY = 3000; // milliseconds between two looks at a run that goes on
const RARELY = 30000; // the same when it has ended: somebody may clear a task
const SIGNS = { accepted: '✓', sending: '▶', waiting: '·', rejected: '!', failed: '✕', 'held back': '‖' };
const MANY = 120; // batches from which the cells of the strip are small
let chosen = null;
let batches = [];
let listedFor = '';

const byId = (id) => document.getElementById(id);
const styleOf = (state) => `is-${state.replace(' ', '-')}`;

function drawNow(answer) {
  const box = byId('now');
  box.className = `now ${answer.now.kind}`;
  say(box.querySelector('.text'), answer.now.text);
  say(box.querySelector('.why'), answer.now.why);
  const run = answer.run;
  const config = Object.entries(run.config).map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  say(byId('title'), `${run.dag_id}: ${run.run_id}`);
  say(byId('about'), [
    run.started_by ? `started by ${run.started_by}` : `a ${run.type} run`,
    run.started_at ? clock(run.started_at) : 'not started yet',
    config.length ? `asked for: ${config.join(', ')}` : 'with the defaults',
  ].join('; '));
  document.title = `${answer.now.text} ${run.run_id}`;
  say(byId('seen'), `Seen at ${clock(run.seen_at)}. This page looks again by itself; it never asks the warehouse.`);
}

function drawQuestions(questions) {
  show('questions', questions.length > 0);
  byId('questions').querySelector('ul').replaceChildren(...questions.map((each) => make('li', {},
    outward(`${airflowTask(RUN.dag_id, RUN.run_id, each.task_id, each.map_index)}/required_actions`, each.subject),
    ` (asked at ${clock(each.asked_at)})`)));
}

function drawNumbers(answer) {
  const { records, estimate } = answer;
  show('numbers', records.records > 0);
  const shown = [['in this run', records.records], ['accepted', records.accepted], ['rejected', records.rejected], ['left', records.left]];
  if (records.unknown) shown.push(['outcome not known', records.unknown]);
  byId('numbers').querySelector('dl').replaceChildren(...shown.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, number(value)))));
  const bar = byId('numbers').querySelector('.bar');
  bar.setAttribute('aria-label', shown.map(([name, value]) => `${number(value)} ${name}`).join(', '));
  bar.replaceChildren(...['accepted', 'rejected', 'unknown', 'left'].map((name) => {
    const part = make('span', { class: `is-${name}` });
    part.style.width = `${(100 * records[name]) / Math.max(1, records.records)}%`;
    return part;
  }));
  say(byId('estimate'), estimate
    ? `About ${duration(estimate.seconds_left)} left, until about ${clock(estimate.ends_at)}. ${estimate.measured_over
      ? `A batch has taken ${estimate.per_batch.toFixed(0)} s from end to end, its pause included (the last ${estimate.measured_over}).`
      : 'No batch has been measured yet, so this is what a usual one takes.'}`
    : '');
}

function drawStrip(answer) {
  batches = answer.batches;
  show('batches', batches.length > 0);
  byId('batches').querySelector('.legend').replaceChildren(...Object.entries(answer.counts).filter(([, count]) => count).map(([state, count]) =>
    make('li', {}, make('span', { class: `cell ${styleOf(state)}`, 'aria-hidden': 'true' }, SIGNS[state]), `${number(count)} ${state}`)));
  const strip = byId('strip');
  strip.classList.toggle('many', batches.length > MANY);
  if (strip.children.length !== batches.length) {
    strip.replaceChildren(...batches.map((_, index) => make('button', { type: 'button', 'data-index': index, tabindex: index ? -1 : 0 })));
  }
  batches.forEach((batch, index) => {
    const cell = strip.children[index];
    const style = `cell ${styleOf(batch.state)}`;
    if (cell.className !== style) {
      cell.className = style;
      say(cell, SIGNS[batch.state]);
      cell.title = `${batch.label}: ${batch.state}`;
      cell.setAttribute('aria-label', cell.title);
    }
    cell.setAttribute('aria-pressed', index === chosen);
  });
  drawBatch();
}

function drawBatch() {
  const box = byId('batch');
  const batch = chosen === null ? null : batches[chosen];
  box.hidden = !batch;
  if (!batch) return;
  const facts = [`${number(batch.records)} records, ${batch.state}`];
  if (batch.rejected) facts.push(`${number(batch.rejected)} of them not accepted`);
  if (batch.try > 1) facts.push(`try ${batch.try}`);
  const links = [outward(airflowTask(RUN.dag_id, RUN.run_id, batch.task_id, batch.map_index), 'its task and log')];
  if (batch.census_url) links.push(outward(batch.census_url, `Census run ${batch.census_run}`));
  else if (batch.census_run) links.push(`Census run ${batch.census_run}`);
  const text = JSON.stringify(batch);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  box.replaceChildren(make('h3', {}, batch.label), make('p', {}, facts.join('; ')),
    make('p', {}, batch.reason ?? ''), make('p', {}, ...links.flatMap((link) => [link, ' '])));
}

function choose(index, takesFocus) {
  const strip = byId('strip');
  if (index < 0 || index >= strip.children.length) return;
  for (const cell of strip.children) cell.tabIndex = -1;
  chosen = index;
  strip.children[index].tabIndex = 0;
  if (takesFocus) strip.children[index].focus();
  [...strip.children].forEach((cell, each) => cell.setAttribute('aria-pressed', each === chosen));
  drawBatch();
}

byId('strip').addEventListener('click', (event) => {
  const cell = event.target.closest('button');
  if (cell) choose(Number(cell.dataset.index), true);
});
byId('strip').addEventListener('keydown', (event) => {
  const here = Number(document.activeElement?.dataset?.index ?? 0);
  const columns = getComputedStyle(byId('strip')).gridTemplateColumns.split(' ').length;
  const moves = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + columns, ArrowUp: here - columns, Home: 0, End: batches.length - 1 };
  if (!(event.key in moves)) return;
  event.preventDefault();
  choose(moves[event.key], true);
});

function drawReasons(reasons) {
  show('reasons', reasons.length > 0);
  byId('reasons').querySelector('tbody').replaceChildren(...reasons.map((each) => make('tr', {},
    make('td', { class: 'number' }, number(each.records)), make('td', {}, each.reason), make('td', {}, each.keys.join(', ')),
    make('td', {}, each.batches.slice(0, 8).map((one) => String(one).padStart(3, '0')).join(', ') + (each.batches.length > 8 ? ' ...' : '')))));
}

function drawProducts({ products, products_note: note }) {
  show('products', products.length > 0);
  const most = Math.max(1, ...products.flatMap((each) => [each.before ?? 0, each.now ?? 0, each.should_be ?? 0]));
  const cell = (value, style) => {
    if (value === null || value === undefined) return make('td', { class: 'muted' }, 'not known yet');
    const fill = make('span');
    fill.style.width = `${(100 * value) / most}%`;
    return make('td', {}, number(value), make('span', { class: `meter meter-${style}`, 'aria-hidden': 'true' }, fill));
  };
  byId('products').querySelector('tbody').replaceChildren(...products.map((each) =>
    make('tr', {}, make('th', { scope: 'row' }, each.label), cell(each.before, 'before'), cell(each.now, 'now'), cell(each.should_be, 'should'))));
  say(byId('products-note'), note);
}

function drawRed(red) {
  show('red', red.length > 0);
  byId('red').querySelector('ul').replaceChildren(...red.map((each) =>
    make('li', {}, outward(airflowTask(RUN.dag_id, RUN.run_id, each.task_id, each.map_index), each.name))));
}

async function drawFiles(run) {
  const moment = `${run.state} ${run.ended_at ?? Math.floor(Date.now() / 60000)}`;
  if (listedFor === moment) return;
  listedFor = moment;
  const answer = await ask('api/files', RUN);
  show('files', answer.files.length > 0 || Boolean(answer.problem));
  byId('files').querySelector('ul').replaceChildren(...answer.files.map((each) => {
    const address = addressOf('file', { ...RUN, name: each.name });
    const isPage = each.name.endsWith('.html') || each.name.endsWith('.svg');
    return make('li', {}, isPage ? outward(address, each.name) : make('a', { href: address, download: each.name }, each.name), `: ${each.what}`);
  }));
  const problem = byId('files').querySelector('p');
  problem.hidden = !answer.problem;
  say(problem, answer.problem ?? '');
}

async function look() {
  let next = EVERY;
  try {
    if (!document.hidden) {
      const answer = await ask('api/run', RUN);
      drawNow(answer);
      drawQuestions(answer.questions);
      drawNumbers(answer);
      drawStrip(answer);
      drawReasons(answer.reasons);
      drawProducts(answer);
      drawRed(answer.red);
      complain('');
      if (['success', 'failed'].includes(answer.run.state)) next = RARELY;
      await drawFiles(answer.run);
    }
  } catch (problem) {
    complain(problem.message);
    if (byId('now').querySelector('.text').textContent === 'Loading ...') say(byId('now').querySelector('.text'), 'Nothing can be shown.');
  }
  setTimeout(look, next);
}

byId('to-run').href = airflowRun(RUN.dag_id, RUN.run_id);
byId('to-run').dataset.outward = '';
if (!RUN.dag_id || !RUN.run_id) complain(`Open this page from a run in Airflow (${AIRFLOW}), or choose one in the list of all runs.`);
else look();
