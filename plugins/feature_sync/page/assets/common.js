// What both pages share: asking, building elements, following Airflow's theme, leaving its frame.

/** Airflow's own address: what lies before ours. Airflow may have a path. */
export const AIRFLOW = new URL('../', new URL('./', location.href)).href;

/** An element with text. Nothing is ever put into the page as HTML, so no value can become markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children) element.append(child ?? '');
  return element;
}

export const number = (value) => (value === null || value === undefined ? 'not known' : Number(value).toLocaleString('en'));

export const clock = (iso) => (iso ? `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC` : '');

export function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return 'less than a minute';
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

/** The address of one of our routes. */
export function addressOf(path, parameters = {}) {
  const address = new URL(path, new URL('./', location.href));
  for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
  return address.href;
}

/** What Airflow's API server says, or an error with a sentence for people. */
export async function ask(path, parameters = {}) {
  const address = addressOf(path, parameters);
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: 'application/json' } });
  } catch {
    throw new Error('Airflow does not answer. This page asks again by itself.');
  }
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Error('You are no longer logged in to Airflow. Log in, then reload this page.');
  if (answer.status === 403) throw new Error('You may not read this DAG. Ask an administrator of Airflow for the right to read it.');
  throw new Error(typeof said.detail === 'string' ? said.detail : `Airflow answered ${answer.status}.`);
}

export function show(id, isShown) {
  document.getElementById(id).hidden = !isShown;
}

/** Say what went wrong, once. A screen reader reads it aloud when it changes. */
export function complain(message) {
  const box = document.getElementById('trouble');
  if (box.textContent !== message) box.textContent = message;
  box.hidden = !message;
}

/** Set a text only if it differs, so that a screen reader is not disturbed by every look. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const airflowRun = (dag, run) => `${AIRFLOW}dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;

export function airflowTask(dag, run, task, index) {
  return `${airflowRun(dag, run)}/tasks/${encodeURIComponent(task)}${index >= 0 ? `/mapped/${index}` : ''}`;
}

/** A link to a page of Airflow. In Airflow's frame it must change the page around the frame, which only that page may do. */
export const outward = (href, text) => make('a', { href, 'data-outward': true }, text);

function parentDocument() {
  try {
    return window.parent !== window ? window.parent.document : null;
  } catch {
    return null; // framed by somebody else, whose document is none of our business
  }
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-outward]');
  const around = parentDocument();
  if (!link || !around || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const door = around.createElement('a');
  door.href = link.href;
  if (new URL(link.href).origin !== location.origin) {
    door.target = '_blank';
    door.rel = 'noopener noreferrer';
  }
  door.click();
});

function followTheme() {
  const around = parentDocument();
  if (!around) return; // then the style asks the system
  const root = around.documentElement;
  const take = () => {
    const isDark = root.classList.contains('dark') || root.dataset.theme === 'dark';
    document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  };
  take();
  new MutationObserver(take).observe(root, { attributes: true, attributeFilter: ['class', 'data-theme'] });
}
followTheme();
