// The server as this page knows it. Every failure is a RequestError whose message can be shown.

import { events } from './sse.js';

export class RequestError extends Error {
  constructor(message, { status = 0, retryAfter = '', lost = false } = {}) {
    super(message);
    Object.assign(this, { status, retryAfter, lost });
  }
}

const kLost = 'The connection was lost before the answer was complete.';

async function call(path, key, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new RequestError('The server cannot be reached.');
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw new RequestError(body?.error?.message ?? `The server answered ${answer.status} ${answer.statusText}`,
    { status: answer.status, retryAfter: answer.headers.get('Retry-After') ?? '' });
}

// '' when the server takes requests, else why not.
export async function whyNotReady() {
  try {
    await call('/ready');
    return '';
  } catch (error) {
    return error.message;
  }
}

// {id, max_model_len} of the model that is served.
export async function model(key) {
  const list = await (await call('/v1/models', key)).json();
  return list.data[0];
}

// The chunks of an answer. Ends without an error only when the server said [DONE].
export async function* chat(body, key, signal) {
  const answer = await call('/v1/chat/completions', key, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  try {
    for await (const data of events(answer.body)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new RequestError(chunk.error.message ?? 'The server ended the answer with an error.');
      yield chunk;
    }
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof RequestError) throw error;
    throw new RequestError(kLost, { lost: true });
  }
  throw new RequestError(kLost, { lost: true });
}
