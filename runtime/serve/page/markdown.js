// SPDX-License-Identifier: Apache-2.0
//
// Markdown to elements, made by createElement and textContent alone: no text,
// whoever wrote it, can become markup. Headings, paragraphs, emphasis, lists,
// tables, quotes, code, links to http and https. No images and no HTML: they
// could send what was said to others.

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

const INLINE = [
  [/^(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/, (m) => element('code', m[2].trim() || m[2])],
  [/^\*\*(?=\S)([\s\S]*?\S)\*\*/, (m) => element('strong', ...inline(m[1]))],
  [/^__(?=\S)([\s\S]*?\S)__(?!\w)/, (m) => element('strong', ...inline(m[1]))],
  [/^\*(?=\S)([^*]*[^*\s])\*(?!\*)/, (m) => element('em', ...inline(m[1]))],
  [/^_(?=\S)([^_]*[^_\s])_(?!\w)/, (m) => element('em', ...inline(m[1]))],
  [/^~~(?=\S)([\s\S]*?\S)~~/, (m) => element('s', ...inline(m[1]))],
  [/^\[([^\]\n]*)\]\((https?:\/\/[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)\)/, (m) => link(m[2], m[1])],
  [/^<(https?:\/\/[^\s<>]+)>/, (m) => link(m[1], m[1])],
  [/^https?:\/\/[^\s<>()]*[^\s<>().,;:!?'"]/, (m) => link(m[0], m[0])],
];

function link(address, text) {
  const made = element('a', text);
  made.href = address;
  made.rel = 'noopener noreferrer';
  made.target = '_blank';
  return made;
}

/** The nodes of a text without blocks. */
function inline(text) {
  const nodes = [];
  let plain = '';
  const flush = () => {
    if (plain)
      nodes.push(document.createTextNode(plain));
    plain = '';
  };
  for (let at = 0; at < text.length;) {
    if (text[at] === '\\' && /[\\`*_~[\]()#+.!|<>-]/.test(text[at + 1] ?? '')) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    // Markers inside a word are part of it, as in snake_case.
    const inWord = text[at] === '_' && /\w$/.test(plain);
    const rest = inWord || !/[`*_~[<h]/.test(text[at]) ? '' : text.slice(at);
    const rule = rest && INLINE.find(([pattern]) => pattern.test(rest));
    if (!rule) {
      plain += text[at++];
      continue;
    }
    const match = rule[0].exec(rest);
    flush();
    nodes.push(rule[1](match));
    at += match[0].length;
  }
  flush();
  return nodes;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const DIVIDER = /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/;

function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function table(lines) {
  const row = (name, line) => element('tr', ...cells(line).map((cell) => element(name, ...inline(cell))));
  const made = element('table', element('thead', row('th', lines[0])),
                       element('tbody', ...lines.slice(2).map((line) => row('td', line))));
  const around = element('div', made);
  around.className = 'scroll';
  return around;
}

function code(lines, language) {
  const made = element('pre', element('code', lines.join('\n')));
  made.tabIndex = 0;
  made.setAttribute('role', 'region');
  made.setAttribute('aria-label', language ? `code, ${language}` : 'code');
  const around = element('div', made);
  around.className = 'block';
  return around;
}

/** A list of the lines from the first item on; returns it and their number. */
function list(lines) {
  const [, indent, marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const made = element(ordered ? 'ol' : 'ul');
  if (ordered && parseInt(marker) !== 1)
    made.start = parseInt(marker);
  let at = 0;
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length !== indent.length || /\d/.test(item[2]) !== ordered)
      break;
    const inner = [item[3]];
    const width = lines[at].length - item[3].length;
    for (++at; at < lines.length; ++at) {
      const line = lines[at];
      const deeper = line.match(/^ */)[0].length > indent.length;
      if (line.trim() === '' ? !/^ {2,}\S/.test(lines[at + 1] ?? '') : !deeper)
        break;
      inner.push(line.slice(Math.min(width, line.match(/^ */)[0].length)));
    }
    const nodes = blocks(inner);
    // One paragraph alone stands without its own space.
    made.append(element('li', ...(nodes[0]?.tagName === 'P' ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes)));
    while (lines[at]?.trim() === '' && ITEM.test(lines[at + 1] ?? ''))
      ++at;
  }
  return [made, at];
}

function startsBlock(lines, at) {
  const line = lines[at];
  return line.trim() === '' || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) ||
         ITEM.test(line) || (line.includes('|') && DIVIDER.test(lines[at + 1] ?? ''));
}

function blocks(lines) {
  const made = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    let match;
    if (line.trim() === '') {
      ++at;
    } else if ((match = FENCE.exec(line))) {
      let end = at + 1;
      // A fence that is still open goes on to the end.
      while (end < lines.length && !(lines[end].trim().startsWith(match[1]) && /^[`~\s]*$/.test(lines[end])))
        ++end;
      made.push(code(lines.slice(at + 1, end), match[2].trim()));
      at = end + 1;
    } else if ((match = HEADING.exec(line))) {
      made.push(element(`h${Math.min(match[1].length + 2, 5)}`, ...inline(match[2])));
      ++at;
    } else if (RULE.test(line)) {
      made.push(element('hr'));
      ++at;
    } else if (QUOTE.test(line)) {
      let end = at;
      while (end < lines.length && QUOTE.test(lines[end]))
        ++end;
      made.push(element('blockquote', ...blocks(lines.slice(at, end).map((l) => l.replace(QUOTE, '')))));
      at = end;
    } else if (ITEM.test(line)) {
      const [items, count] = list(lines.slice(at));
      made.push(items);
      at += count;
    } else if (line.includes('|') && DIVIDER.test(lines[at + 1] ?? '')) {
      let end = at + 2;
      while (end < lines.length && lines[end].includes('|'))
        ++end;
      made.push(table(lines.slice(at, end)));
      at = end;
    } else {
      let end = at + 1;
      while (end < lines.length && !startsBlock(lines, end))
        ++end;
      made.push(element('p', ...inline(lines.slice(at, end).join('\n'))));
      at = end;
    }
  }
  return made;
}

/** The elements of a markdown text, also of one that is not complete yet. */
export function markdown(text) {
  try {
    return blocks(text.replaceAll('\r\n', '\n').replaceAll('\t', '    ').split('\n'));
  } catch (error) {
    if (!(error instanceof RangeError)) // quotes within quotes without end
      throw error;
    return [element('p', text)];
  }
}
