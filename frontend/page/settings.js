// What the person chose: sampling, system prompt, API key, theme. The key goes into one header and, as the person
// chooses, into this browser's or this tab's store; never into a URL or a message.

import { byId } from './dom.js';

const kStore = 'switchyard.settings';
const kKeyStore = 'switchyard.key';
const kThemeStore = 'switchyard.theme';
const kTexts = ['system', 'stop', 'more'];

const dialog = byId('settings');
const form = byId('settings-form');
const fields = form.elements;
const numbers = [...form.querySelectorAll('[type=number]')].map((field) => field.name);

export const key = () => fields.key.value.trim();
export const systemPrompt = () => fields.system.value.trim();

// Fields of the request body; what is empty is absent, so that the server's default holds.
export function requestFields() {
  const body = {};
  for (const name of numbers)
    if (fields[name].value !== '') body[name] = Number(fields[name].value);
  const stops = fields.stop.value.split('\n').filter(Boolean).map((line) => line.replaceAll('\\n', '\n'));
  if (stops.length > 0) body.stop = stops;
  return { ...body, ...moreFields() };
}

// Throws when the text is no JSON object.
function moreFields() {
  const text = fields.more.value.trim();
  if (!text) return {};
  const more = JSON.parse(text);
  if (more === null || typeof more !== 'object' || Array.isArray(more)) throw new Error('not an object');
  return more;
}

function check() {
  let wrong = '';
  try {
    moreFields();
  } catch {
    wrong = 'This must be a JSON object, such as {"ignore_eos": true}.';
  }
  fields.more.setCustomValidity(wrong);
  fields.key.setCustomValidity(/^[\x21-\x7e]*$/.test(key()) ? '' : 'A key has no spaces and no letters beyond ASCII.');
  return form.checkValidity();
}

function save() {
  if (!check()) return;
  const values = Object.fromEntries([...numbers, ...kTexts].map((name) => [name, fields[name].value]));
  localStorage.setItem(kStore, JSON.stringify(values));
  const [keep, drop] = fields.remember.checked ? [localStorage, sessionStorage] : [sessionStorage, localStorage];
  keep.setItem(kKeyStore, key());
  drop.removeItem(kKeyStore);
}

function load() {
  let values = {};
  try {
    values = JSON.parse(localStorage.getItem(kStore)) ?? {};
  } catch {
    // Not ours: the server's defaults.
  }
  for (const name of [...numbers, ...kTexts]) fields[name].value = values[name] ?? '';
  const kept = localStorage.getItem(kKeyStore);
  fields.remember.checked = Boolean(kept);
  fields.key.value = kept ?? sessionStorage.getItem(kKeyStore) ?? '';
}

export function open(name) {
  dialog.showModal();
  if (name) fields[name].focus();
}
export const isOpen = () => dialog.open;

// --- light and dark ---

const systemDark = matchMedia('(prefers-color-scheme: dark)');

// A choice that is the system's own is not kept: the page then follows the system.
function showTheme(chosen) {
  const system = systemDark.matches ? 'dark' : 'light';
  const theme = chosen ?? system;
  if (chosen && chosen !== system) localStorage.setItem(kThemeStore, chosen);
  else localStorage.removeItem(kThemeStore);
  document.documentElement.dataset.theme = theme;
  byId('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
}

// onClosed: the settings hold something new.
export function start(onClosed) {
  load();
  showTheme(localStorage.getItem(kThemeStore));
  systemDark.addEventListener('change', () => showTheme(null));
  byId('theme').onclick = () => showTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
  byId('open-settings').onclick = () => open();
  byId('reset').onclick = () => {
    for (const name of [...numbers, ...kTexts]) fields[name].value = '';
    save();
  };
  form.addEventListener('input', save);
  // Closed in another way than by Done, a field may hold what cannot be sent: back to what was saved.
  dialog.addEventListener('close', () => {
    if (!check()) load();
    onClosed();
  });
}
