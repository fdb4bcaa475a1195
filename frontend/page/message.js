// How a message looks. A view is made once and then follows its message.

import { summary } from './answer.js';
import { button, copyButton, element } from './dom.js';
import { show } from './markdown.js';

export function userView(message, onEdit) {
  const actions = element('div', { className: 'actions' }, button('Edit', onEdit));
  const view = element('article', { className: 'user' }, element('h2', { className: 'hidden' }, 'You'),
    element('div', { className: 'text' }, message.text), actions);
  return { element: view, actions };
}

export class AnswerView {
  constructor(message, onAgain) {
    this.message = message;
    this.thought = element('pre');
    this.thinkingLabel = element('summary');
    this.reasoning = element('details', { className: 'reasoning', hidden: true }, this.thinkingLabel, this.thought);
    this.text = element('div', { className: 'text' });
    this.tools = element('div');
    this.note = element('p', { className: 'note', hidden: true });
    this.stats = element('p', { className: 'stats' });
    this.again = button('Regenerate', onAgain);
    this.actions = element('div', { className: 'actions', hidden: true }, copyButton(() => this.message.text), this.again);
    this.element = element('article', { className: 'answer' }, element('h2', { className: 'hidden' }, 'Answer'),
      this.reasoning, this.text, this.tools, this.note, this.stats, this.actions);
  }

  // answer: the Answer while it grows, nothing for one of the past.
  update(answer, now) {
    const { message } = this;
    const streaming = answer?.streaming ?? false;
    this.element.setAttribute('aria-busy', streaming);
    this.reasoning.hidden = !message.reasoning;
    if (this.thought.textContent !== message.reasoning) this.thought.textContent = message.reasoning;
    const thinking = streaming && answer.thinking();
    const ms = thinking ? now - answer.thinkingSince : message.reasoningMs ?? 0;
    this.thinkingLabel.textContent = `${thinking ? 'Thinking…' : 'Thought for'} ${(ms / 1000).toFixed(1)} s`;
    show(this.text, message.text);
    this.tools.replaceChildren(...message.toolCalls.filter(Boolean).map(toolCall));
    this.element.classList.toggle('waiting', streaming && !message.text && !message.reasoning);
    if (streaming) {
      this.stats.textContent = `${((now - answer.begun) / 1000).toFixed(1)} s`;
      return;
    }
    this.showNote();
    this.stats.textContent = message.stats ? summary(message.stats) : '';
    this.actions.hidden = false;
  }

  showNote() {
    const { note, finish } = this.message;
    const after = note?.retryAfter ? ` The server asks to wait ${note.retryAfter} s before the next try.` : '';
    const text = note ? note.text + after : finish === 'length' ? 'Cut off: the token limit was reached.' : '';
    this.note.hidden = !text;
    this.note.textContent = text;
    this.note.classList.toggle('error', note?.kind === 'error' || note?.kind === 'lost');
    this.again.textContent = note?.kind === 'error' || note?.kind === 'lost' ? 'Try again' : 'Regenerate';
  }
}

function toolCall({ name, arguments: text }) {
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Still coming, or not JSON at all: as it is.
  }
  return element('div', { className: 'tool' }, element('div', {}, 'Calls ', element('code', {}, name)), element('pre', {}, shown));
}
