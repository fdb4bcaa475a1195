// An answer as it grows from chunks. `message` is what the conversation keeps: plain data, so that it survives as JSON.

const kThink = /^\s*<think>/;
const kThinkEnd = '</think>';

export class Answer {
  constructor(message, now) {
    this.message = Object.assign(message, { role: 'assistant', text: '', reasoning: '', toolCalls: [] });
    this.begun = now;
    this.raw = '';
    this.reasoningField = '';
    this.pieces = 0;
    this.streaming = true;
  }

  add(chunk, now) {
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    if (choice.finish_reason) this.message.finish = choice.finish_reason;
    const delta = choice.delta ?? {};
    const reasoning = delta.reasoning_content ?? '';
    if (!reasoning && !delta.content && !delta.tool_calls) return;
    this.first ??= now;
    this.last = now;
    this.pieces += 1;
    this.reasoningField += reasoning;
    this.raw += delta.content ?? '';
    for (const call of delta.tool_calls ?? []) this.addToolCall(call);
    this.split(now);
  }

  // The first piece of a call has its id and name, the following ones more of its arguments.
  addToolCall({ index = 0, id, function: called = {} }) {
    const call = (this.message.toolCalls[index] ??= { id: '', name: '', arguments: '' });
    call.id ||= id ?? '';
    call.name += called.name ?? '';
    call.arguments += called.arguments ?? '';
  }

  // Reasoning has a field of its own, or is marked in the text where the server knows no parser for the model.
  split(now) {
    const { message } = this;
    message.reasoning = this.reasoningField;
    message.text = this.raw;
    const mark = this.reasoningField ? null : kThink.exec(this.raw);
    if (mark) {
      const end = this.raw.indexOf(kThinkEnd);
      message.reasoning = this.raw.slice(mark[0].length, end < 0 ? undefined : end).trim();
      message.text = end < 0 ? '' : this.raw.slice(end + kThinkEnd.length).trimStart();
    }
    if (message.reasoning) this.thinkingSince ??= this.first;
    if (this.thinking()) message.reasoningMs = now - this.thinkingSince;
  }

  thinking() {
    return Boolean(this.thinkingSince !== undefined && !this.message.text && this.message.toolCalls.length === 0);
  }

  // note: {kind: 'stopped' | 'error' | 'lost', text, retryAfter}, or nothing.
  end(now, note) {
    this.streaming = false;
    if (this.thinking()) this.message.reasoningMs = now - this.thinkingSince;
    this.message.toolCalls = this.message.toolCalls.filter(Boolean);
    this.message.note = note;
    this.message.stats = {
      firstMs: this.first === undefined ? null : this.first - this.begun,
      streamMs: this.first === undefined ? 0 : this.last - this.first,
      totalMs: now - this.begun,
      pieces: this.pieces,
      usage: this.usage ?? null,
    };
  }
}

const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

const kStreamMsMin = 50;  // what comes in less time came in one piece, and says nothing of the rate

// One line for under an answer. The rate leaves out the first token, which waits for the prompt, where that can be told.
export function summary({ firstMs, streamMs, totalMs, pieces, usage }) {
  const words = [];
  if (firstMs !== null) words.push(`first token ${seconds(firstMs)}`);
  const tokens = usage ? usage.completion_tokens : pieces;
  const perMs = streamMs < kStreamMsMin ? tokens / totalMs : (tokens - 1) / streamMs;
  if (tokens > 0) words.push(`${(perMs * 1000).toFixed(1)} tokens/s`);
  words.push(usage ? `${tokens} tokens` : `about ${tokens} tokens`);
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  if (usage) words.push(`prompt ${usage.prompt_tokens}${cached ? ` (${cached} cached)` : ''}`);
  words.push(`${seconds(totalMs)} in all`);
  return words.join(' · ');
}
