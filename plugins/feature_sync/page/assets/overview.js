import { addressOf, ask, clock, complain, make, number, say, show } from './common.js';

const EVERY = 15000; // milliseconds between two looks at the list
const byId = (id) => document.getElementById(id);

const pageOf = (run) => addressOf('run', { dag_id: run.dag_id, run_id: run.run_id });
const what = (run) => [run.dag_id, run.dry_run ? 'dry run' : '', run.undoes ? `undo of ${run.undoes}` : ''].filter(Boolean).join(', ');
const percent = (share) => (share === 1 ? '100 %' : `${(Math.floor(share * 1e4) / 100).toFixed(2)} %`); // never rounded up to 100 %

function drawRuns(runs) {
  show('no-runs', runs.length === 0);
  byId('runs').querySelector('tbody').replaceChildren(...runs.map((run) => make('tr', {},
    make('td', {}, make('a', { href: pageOf(run) }, run.started_at ? clock(run.started_at) : 'not started'), make('div', { class: 'muted hint' }, run.run_id)),
    make('td', {}, what(run)), make('td', {}, make('span', { class: `state ${run.state}` }, run.state)),
    make('td', { class: 'number' }, run.records === null ? '' : number(run.records)), make('td', {}, run.result ?? ''),
    make('td', {}, run.started_by ?? run.type))));
}

function drawLatest(runs, weeklyDag) {
  const weekly = runs.filter((run) => run.dag_id === weeklyDag);
  const judged = weekly.find((run) => run.accuracy !== null);
  const box = byId('latest');
  if (!judged) {
    box.className = 'now asks';
    say(box.querySelector('.text'), 'Nobody knows: no weekly run in this list has compared Salesforce with the warehouse.');
    say(box.querySelector('.why'), weekly.length ? 'Look at the newest weekly run below.' : 'Unpause the DAG, or trigger it.');
    return;
  }
  box.className = `now ${judged.accuracy === 1 ? 'good' : 'failed'}`;
  say(box.querySelector('.text'), `${judged.result}: ${percent(judged.accuracy)} of the properties are right.`);
  say(box.querySelector('.why'), `Compared by the weekly run of ${clock(judged.started_at)}.`);
  const image = byId('accuracy').querySelector('img');
  const address = addressOf('file', { dag_id: judged.dag_id, run_id: judged.run_id, name: 'accuracy.svg' });
  if (image.src !== address) {
    image.onload = () => show('accuracy', true);
    image.onerror = () => show('accuracy', false);
    image.alt = `Accuracy of each product over time; the newest run found ${percent(judged.accuracy)} of all properties right.`;
    image.src = address;
  }
}

async function look() {
  try {
    if (!document.hidden) {
      const answer = await ask('api/runs');
      drawRuns(answer.runs);
      drawLatest(answer.runs, answer.weekly_dag_id);
      complain('');
      say(byId('seen'), `Seen at ${clock(new Date().toISOString())}. This page looks again by itself.`);
    }
  } catch (problem) {
    complain(problem.message);
    if (byId('latest').querySelector('.text').textContent === 'Loading ...') say(byId('latest').querySelector('.text'), 'Nothing can be shown.');
  }
  setTimeout(look, EVERY);
}

byId('story-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const box = byId('story');
  const of = byId('story-of').value.trim();
  if (!of) return;
  box.hidden = false;
  say(box, `Asking the warehouse about ${of} ...`);
  try {
    say(box, (await ask('api/story', { of })).story);
  } catch (problem) {
    say(box, problem.message);
  }
});

look();
