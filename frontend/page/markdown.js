// Markdown as models write it, as DOM nodes: headings, lists, quotes, fenced code, tables, paragraphs; code, bold, italic
// and links within them. Model text only ever becomes text nodes and the hrefs that kLink lets through. Repetitions
// in the expressions are bounded or cannot overlap: no text takes more than linear time.

import { copyButton, element } from './dom.js';

const kDepthMax = 6;
const kFence = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]{0,40})[^`]*$/;
const kHeading = /^ {0,3}(#{1,6})\s+(.*)$/;
const kRule = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const kQuote = /^ {0,3}> ?/;
const kItem = /^( *)([-*+]|\d{1,9}[.)])\s+(?=\S)/;
const kTableRule = /^ *\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?\|? *$/;
const kInline = new RegExp([
  '`(?<code>[^`\\n]+)`',
  '\\*\\*(?=\\S)(?<bold>(?:[^*\\n]|\\*(?!\\*)){1,2000})\\*\\*',
  '\\*(?=[^\\s*])(?<italic>[^*\\n]{1,2000})\\*',
  '(?<![\\p{L}\\p{N}_])_(?=[^\\s_])(?<under>[^_\\n]{1,2000})_(?![\\p{L}\\p{N}_])',
  '\\[(?<label>[^\\[\\]\\n]{1,500})\\]\\((?<href>[^\\s()<>]{1,2000})\\)',
  '\\\\(?<escaped>[\\\\`*_\\[\\]()#+.!|<>-])',
].join('|'), 'gu');
const kLink = /^https?:\/\//i;

// Makes what `container` shows be `text`. Blocks whose source did not change keep their nodes: a selection survives, and
// a growing answer costs its last block.
export function show(container, text) {
  const wanted = blocks(text.split('\n'));
  wanted.forEach((block, i) => {
    const there = container.childNodes[i];
    if (there?.source === block.source) return;
    const made = block.make();
    made.source = block.source;
    if (there) there.replaceWith(made);
    else container.append(made);
  });
  while (container.childNodes.length > wanted.length) container.lastChild.remove();
}

// [{source, make}] of lines.
function blocks(lines, depth = 0) {
  const found = [];
  let at = 0;
  const add = (end, make) => {
    found.push({ source: lines.slice(at, end).join('\n'), make });
    at = end;
  };
  const runEnd = (from, holds) => {
    let end = from;
    while (end < lines.length && holds(lines[end], end)) end += 1;
    return end;
  };
  while (at < lines.length) {
    const line = lines[at];
    const first = at;
    const fence = kFence.exec(line);
    const heading = kHeading.exec(line);
    if (line.trim() === '') {
      at += 1;
    } else if (fence) {
      const close = runEnd(at + 1, (l) => !(l.trim().startsWith(fence[1]) && l.trim() === fence[1][0].repeat(l.trim().length)));
      add(close + 1, () => codeBlock(lines.slice(first + 1, close).join('\n'), fence[2]));
    } else if (heading) {
      add(at + 1, () => element(`h${Math.min(heading[1].length + 2, 6)}`, {}, ...inline(heading[2])));
    } else if (kRule.test(line)) {
      add(at + 1, () => element('hr'));
    } else if (kQuote.test(line) && depth < kDepthMax) {
      const end = runEnd(at, (l) => kQuote.test(l));
      add(end, () => nested('blockquote', lines.slice(first, end).map((l) => l.replace(kQuote, '')), depth));
    } else if (kItem.test(line) && depth < kDepthMax) {
      const indent = kItem.exec(line)[1].length;
      const ordered = /\d/.test(kItem.exec(line)[2]);
      const inside = (l) => /^\s/.test(l) && l.search(/\S/) > indent;
      const sibling = (l) => kItem.exec(l)?.[1].length === indent && /\d/.test(kItem.exec(l)[2]) === ordered;
      const end = runEnd(at, (l, i) => sibling(l) || inside(l) ||
        (l.trim() === '' && i + 1 < lines.length && (sibling(lines[i + 1]) || inside(lines[i + 1]))));
      add(end, () => list(lines.slice(first, end), indent, ordered, depth));
    } else if (line.includes('|') && kTableRule.test(lines[at + 1] ?? '')) {
      const end = runEnd(at + 2, (l) => l.includes('|'));
      add(end, () => table(lines.slice(first, end)));
    } else {
      const starts = (l, i) => kFence.test(l) || kHeading.test(l) || kRule.test(l) ||
        (depth < kDepthMax && (kQuote.test(l) || kItem.test(l))) ||
        (l.includes('|') && kTableRule.test(lines[i + 1] ?? ''));
      const end = runEnd(at + 1, (l, i) => l.trim() !== '' && !starts(l, i));
      add(end, () => element('p', {}, ...inline(lines.slice(first, end).join('\n').trim())));
    }
  }
  return found;
}

function nested(name, lines, depth) {
  return element(name, {}, ...blocks(lines, depth + 1).map((block) => block.make()));
}

function list(lines, indent, ordered, depth) {
  const items = [];
  for (const line of lines) {
    const item = kItem.exec(line);
    if (item?.[1].length === indent) items.push({ lines: [line.slice(item[0].length)], width: item[0].length });
    else items.at(-1).lines.push(line.slice(Math.min(items.at(-1).width, Math.max(line.search(/\S/), 0))));
  }
  const made = element(ordered ? 'ol' : 'ul');
  if (ordered) made.start = parseInt(kItem.exec(lines[0])[2], 10);
  for (const item of items) {
    const whole = nested('li', item.lines, depth);
    if (whole.firstChild?.nodeName === 'P') whole.firstChild.replaceWith(...whole.firstChild.childNodes);
    made.append(whole);
  }
  return made;
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim());
  const row = (line, name) => element('tr', {}, ...cells(line).map((cell) => element(name, {}, ...inline(cell))));
  const body = element('tbody', {}, ...lines.slice(2).map((line) => row(line, 'td')));
  const made = element('table', {}, element('thead', {}, row(lines[0], 'th')), body);
  return element('div', { className: 'table', tabIndex: 0 }, made);  // scrolls by itself where it is too wide
}

function codeBlock(code, language) {
  const bar = element('div', { className: 'bar' }, element('span', {}, language || 'code'), copyButton(() => code));
  return element('div', { className: 'code' }, bar, element('pre', { tabIndex: 0 }, element('code', {}, code)));
}

function inline(text, depth = 0) {
  if (depth > kDepthMax) return [text];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(kInline)) {
    const { code, bold, italic, under, label, href, escaped } = match.groups;
    if (match.index > end) nodes.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (code !== undefined) nodes.push(element('code', {}, code));
    else if (bold !== undefined) nodes.push(element('strong', {}, ...inline(bold, depth + 1)));
    else if (italic ?? under) nodes.push(element('em', {}, ...inline(italic ?? under, depth + 1)));
    else if (escaped !== undefined) nodes.push(escaped);
    else if (kLink.test(href)) nodes.push(element('a', { href, rel: 'noopener noreferrer', target: '_blank' }, label));
    else nodes.push(match[0]);
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}
