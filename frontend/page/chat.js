// The page: a conversation, what a person does with it, and what the server says about itself.

import { Answer } from './answer.js';
import * as api from './api.js';
import { byId } from './dom.js';
import { AnswerView, userView } from './message.js';
import * as settings from './settings.js';

const kStore = 'switchyard.conversation';
const kStoreCharactersMax = 1_000_000;  // browsers give an origin some 5 MB; settings need room as well
const kReadyAgainMs = 2000;
const kNearEndPixels = 40;

const log = byId('messages');
const scroller = byId('scroller');
const input = byId('input');

let messages = [];  // {role: 'user', text} or what Answer describes
let modelName = '';
let running = null;  // {answer, view, abort} while an answer comes
let editing = false;
let lastUserActions = null;
let lastAnswerView = null;

// --- the conversation in this browser ---

// Of a conversation that is too long, the beginning is not kept.
function save() {
  let kept = messages;
  let text = JSON.stringify(kept);
  while (text.length > kStoreCharactersMax) {
    const next = kept.findIndex((message, i) => i > 0 && message.role === 'user');
    kept = next < 0 ? [] : kept.slice(next);
    text = JSON.stringify(kept);
  }
  try {
    localStorage.setItem(kStore, text);
  } catch {
    // The store is full or forbidden: the conversation lives as long as this page.
  }
}

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(kStore)) ?? [];
    const known = (m) => typeof m.text === 'string' &&
      (m.role === 'user' || (m.role === 'assistant' && Array.isArray(m.toolCalls)));
    messages = kept.every(known) ? kept : [];
  } catch {
    messages = [];
  }
}

// --- what is shown ---

const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < kNearEndPixels;

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

// Follows the answer, unless the person has scrolled away.
function following(change) {
  const follow = atEnd();
  change();
  if (follow) toEnd();
  byId('to-end').hidden = atEnd();
}

function append(message) {
  const isUser = message.role === 'user';
  const view = isUser ? userView(message, edit) : new AnswerView(message, regenerate);
  log.append(view.element);
  // Only the last message and the last answer can be changed.
  if (isUser) {
    if (lastUserActions) lastUserActions.hidden = true;
    lastUserActions = view.actions;
  } else {
    if (lastAnswerView) lastAnswerView.again.hidden = true;
    lastAnswerView = view;
  }
  byId('empty').hidden = true;
  return view;
}

function showAll() {
  log.replaceChildren();
  lastUserActions = lastAnswerView = null;
  byId('empty').hidden = messages.length > 0;
  for (const message of messages) {
    const view = append(message);
    if (message.role === 'assistant') view.update();
  }
  toEnd();
}

function showRunning() {
  const busy = running !== null;
  byId('send').hidden = busy;
  byId('stop').hidden = !busy;
  byId('editing').hidden = !editing;
  if (lastUserActions) lastUserActions.hidden = busy;
  log.setAttribute('aria-busy', busy);
}

function fitInput() {
  input.rows = 1;
  while (input.scrollHeight > input.clientHeight && input.rows < 8) input.rows += 1;
}

// --- asking ---

function requestBody() {
  const system = settings.systemPrompt();
  const sent = system ? [{ role: 'system', content: system }] : [];
  for (const { role, text, toolCalls } of messages) {
    if (role === 'user') {
      sent.push({ role, content: text });
    } else if (text || toolCalls.length > 0) {
      const calls = toolCalls.map((call) => ({
        id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }));
      sent.push({ role, content: text, ...(calls.length > 0 && { tool_calls: calls }) });
    }
  }
  return { ...(modelName && { model: modelName }), messages: sent, ...settings.requestFields() };
}

async function ask() {
  const body = requestBody();
  const message = {};
  const answer = new Answer(message, performance.now());
  messages.push(message);
  const view = append(message);
  const abort = new AbortController();
  running = { answer, view, abort };
  const draw = () => following(() => view.update(answer, performance.now()));
  showRunning();
  draw();
  toEnd();
  const clock = setInterval(draw, 100);
  let frame = 0;
  let note;
  try {
    for await (const chunk of api.chat(body, settings.key(), abort.signal)) {
      answer.add(chunk, performance.now());
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    }
  } catch (error) {
    note = noteOf(error);
  }
  clearInterval(clock);
  cancelAnimationFrame(frame);
  answer.end(performance.now(), note);
  running = null;
  following(() => {
    view.update(answer);
    showRunning();
  });
  byId('announcer').textContent = note ? note.text : 'The answer is complete.';
  save();
  if (note && note.kind !== 'stopped') checkServer();
}

function noteOf(error) {
  if (error.name === 'AbortError') return { kind: 'stopped', text: 'Stopped.' };
  if (!(error instanceof api.RequestError)) throw error;
  return { kind: error.lost ? 'lost' : 'error', text: error.message, retryAfter: error.retryAfter };
}

function send() {
  const text = input.value.trim();
  if (!text || running) return;
  if (editing) cutBack(lastUserIndex());
  editing = false;
  const message = { role: 'user', text };
  messages.push(message);
  append(message);
  input.value = '';
  fitInput();
  ask();
}

function stop() {
  running?.abort.abort();
}

const lastUserIndex = () => messages.findLastIndex((message) => message.role === 'user');

function cutBack(count) {
  messages.length = count;
  showAll();
}

function regenerate() {
  if (running || lastUserIndex() < 0) return;
  endEdit();
  cutBack(lastUserIndex() + 1);
  input.focus();
  ask();
}

function edit() {
  if (running || lastUserIndex() < 0) return;
  editing = true;
  input.value = messages[lastUserIndex()].text;
  fitInput();
  input.focus();
  showRunning();
}

function endEdit() {
  if (!editing) return;
  editing = false;
  input.value = '';
  fitInput();
  showRunning();
}

async function newChat() {
  stop();
  while (running) await new Promise((resolve) => { setTimeout(resolve, 0); });
  endEdit();
  cutBack(0);
  save();
  input.focus();
}

// --- the server's state ---

let checking = 0;

function showState(kind, text) {
  byId('state').className = kind;
  if (byId('state-text').textContent !== text) byId('state-text').textContent = text;
}

async function checkServer() {
  clearTimeout(checking);
  const why = await api.whyNotReady();
  if (why) {
    showState('down', why);
    checking = setTimeout(checkServer, kReadyAgainMs);
    return;
  }
  try {
    const served = await api.model(settings.key());
    modelName = served.id;
    byId('model').textContent = document.title = modelName;
    showState('ready', `ready · context of ${served.max_model_len.toLocaleString('en')} tokens`);
  } catch (error) {
    if (error.status !== 401) return showState('down', error.message);
    showState('down', 'needs an API key: see Settings');
    if (!settings.isOpen() && !settings.key()) settings.open('key');
  }
}

// --- what a person does ---

byId('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
input.addEventListener('input', fitInput);
input.addEventListener('keydown', (event) => {
  // Enter also ends the composition of an input method; Safari tells that by the key code alone.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  send();
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing || settings.isOpen()) return;
  if (running) stop();
  else endEdit();
});
byId('stop').onclick = () => {
  stop();
  input.focus();
};
byId('new-chat').onclick = newChat;
byId('cancel-edit').onclick = endEdit;
byId('to-end').onclick = toEnd;
scroller.addEventListener('scroll', () => { byId('to-end').hidden = atEnd(); });
byId('kept').textContent = `${kStoreCharactersMax.toLocaleString('en')} characters`;

settings.start(checkServer);
load();
showAll();
checkServer();
input.focus();
