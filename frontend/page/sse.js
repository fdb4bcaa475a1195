// Server-sent events of a byte stream (https://html.spec.whatwg.org/multipage/server-sent-events.html): yields the data
// of each event. Pieces may end anywhere: within a line break, within a character.

const kEventCharactersMax = 16 << 20;  // a server that never ends a line does not fill the memory

export async function* events(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let data = [];
  try {
    for (let done = false; !done;) {
      const piece = await reader.read();
      done = piece.done;
      text += done ? decoder.decode() : decoder.decode(piece.value, { stream: true });
      if (text.length > kEventCharactersMax) throw new Error('An event of the stream is too long.');
      // A CR at the end may be the first half of CR LF.
      const lines = text.split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?!$)/);
      text = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
        if (line === '' && data.length > 0) {
          yield data.join('\n');
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
