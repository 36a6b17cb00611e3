// SPDX-License-Identifier: Apache-2.0
//
// A chat with the model that this server has. Chats stay in this browser, the
// key in this tab; nothing is asked of any other server.
import {markdown} from './markdown.js';

const at = (id) => document.getElementById(id);
const PARAMETERS = ['temperature', 'top_p', 'top_k', 'min_p', 'seed', 'max_tokens'];
const KEPT = [...PARAMETERS, 'theme'];

let chats = [];     // {id, system, messages: [{role, content, note}]}, the newest first
let chat = null;    // the one that is shown
let running = null; // the AbortController of the answer that comes
let editing = -1;   // the message that the next text replaces
let modelId = '', context = 0, hasTemplate = true;

// What the browser keeps.

function stored(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`fairy2.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(name, value) {
  try {
    localStorage.setItem(`fairy2.${name}`, JSON.stringify(value));
  } catch {
    tell('This browser has no room for more chats: export or delete some.', true);
  }
}

function keepChats() {
  store('chats', chats.filter((one) => one.messages.length));
}

// Words for people.

function tell(words, isBad = false) {
  at('status').textContent = words;
  at('status').className = isBad ? 'bad' : '';
}

function button(words, action) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = words;
  made.addEventListener('click', action);
  return made;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // pages over plain HTTP have no clipboard
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    at('text').focus();
  }
  tell('Copied.');
}

// The conversation.

function fill(article, message) {
  const said = article.querySelector('.said');
  if (message.role === 'user') {
    said.textContent = message.content;
  } else {
    said.replaceChildren(...markdown(message.content));
    for (const block of said.querySelectorAll('.block'))
      block.append(button('Copy', () => copy(block.querySelector('code').textContent)));
  }
  article.querySelector('.note').textContent = message.note ?? '';
}

function show(message, index) {
  const article = document.createElement('article');
  article.className = message.role;
  const title = document.createElement('h2');
  title.textContent = message.role === 'user' ? 'You' : 'Model';
  const said = document.createElement('div');
  said.className = 'said';
  const note = document.createElement('p');
  note.className = 'note';
  const buttons = document.createElement('div');
  buttons.className = 'buttons';
  buttons.append(button('Copy', () => copy(message.content)));
  if (message.role === 'user')
    buttons.append(button('Edit', () => edit(index)));
  else if (index === chat.messages.length - 1)
    buttons.append(button('Regenerate', regenerate));
  article.append(title, said, note, buttons);
  fill(article, message);
  at('log').append(article);
  return article;
}

function showChat() {
  at('log').replaceChildren();
  chat.messages.forEach(show);
  at('system').value = chat.system;
  at('log').scrollTop = at('log').scrollHeight;
  at('chats').replaceChildren(...chats.map((one, number) => {
    const option = document.createElement('option');
    const first = one.messages[0]?.content.trim().split('\n')[0] ?? '';
    option.textContent = first ? first.slice(0, 40) : 'New chat';
    option.value = String(number);
    option.selected = one === chat;
    return option;
  }));
}

function choose(one) {
  stop();
  running = null;
  setRunning(false);
  chat = one;
  editing = -1;
  at('text').value = '';
  tell('');
  showChat();
}

function begin() {
  const empty = chats.find((one) => !one.messages.length);
  if (!empty)
    chats.unshift({id: crypto.randomUUID?.() ?? String(Date.now()), system: '', messages: []});
  choose(empty ?? chats[0]);
  at('text').focus();
}

function edit(index) {
  if (running)
    return;
  editing = index;
  at('text').value = chat.messages[index].content;
  at('text').focus();
  tell('Sending replaces this message and what follows. Esc keeps them.');
}

function regenerate() {
  if (running)
    return;
  chat.messages.pop();
  showChat();
  answer();
}

function stop() {
  running?.abort();
}

// Requests.

function headers() {
  const made = {'Content-Type': 'application/json'};
  if (at('key').value)
    made.Authorization = `Bearer ${at('key').value}`;
  return made;
}

function parameters() {
  const made = {};
  for (const name of PARAMETERS)
    if (at(name).value.trim() !== '')
      made[name] = Number(at(name).value);
  return made;
}

/** What the server says went wrong. */
async function failure(response) {
  let words = '';
  try {
    words = (await response.json()).error.message;
  } catch { // not ours
    words = `the server answered ${response.status}`;
  }
  if (response.status === 401) {
    openSettings(true);
    at('key').focus();
    return 'This server asks for a key: enter it under Settings.';
  }
  if (response.status === 503)
    return `The server is busy or about to stop; try again in a while (${words}).`;
  if (words.includes('context_length_exceeded'))
    return `The conversation is longer than the model's context: begin a new chat (${words}).`;
  return words;
}

/** The JSON of each event of a stream. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = '';;) {
    const {done, value} = await reader.read();
    if (done)
      return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2))
      for (const line of text.slice(0, end).split('\n'))
        if (line.startsWith('data: ') && line !== 'data: [DONE]')
          yield JSON.parse(line.slice(6));
  }
}

function requestOf(messages) {
  const body = {model: modelId, stream: true, stream_options: {include_usage: true}, ...parameters()};
  if (!hasTemplate) // the last message is continued
    return ['/v1/completions', {max_tokens: 256, ...body, prompt: messages.at(-1).content}];
  const system = chat.system.trim() ? [{role: 'system', content: chat.system}] : [];
  return ['/v1/chat/completions',
          {...body, messages: [...system, ...messages.map(({role, content}) => ({role, content}))]}];
}

const REASONS = {length: 'Ended at the limit of tokens or of the context.'};

async function answer() {
  const owner = chat;
  const [path, body] = requestOf(owner.messages);
  const message = {role: 'assistant', content: '', note: ''};
  owner.messages.push(message);
  const article = show(message, owner.messages.length - 1);
  const log = at('log');
  const controller = running = new AbortController();
  setRunning(true);
  tell('Answering …');
  let usage = null, first = 0, last = 0, waiting = false, failed = '';
  const refresh = () => {
    waiting = false;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    fill(article, message);
    if (follows)
      log.scrollTop = log.scrollHeight;
  };
  try {
    const response =
        await fetch(path, {method: 'POST', headers: headers(), body: JSON.stringify(body), signal: controller.signal});
    if (!response.ok)
      throw new Error(await failure(response));
    for await (const event of events(response.body)) {
      if (event.error)
        throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const choice = event.choices[0];
      const text = choice?.delta?.content ?? choice?.text ?? '';
      if (text) {
        last = performance.now();
        first ||= last;
        message.content += text;
        if (!waiting)
          requestAnimationFrame(refresh);
        waiting = true;
      }
      if (choice?.finish_reason)
        message.note = REASONS[choice.finish_reason] ?? '';
    }
  } catch (error) {
    if (error.name === 'AbortError')
      message.note = 'Stopped.';
    else
      failed = error instanceof TypeError ? 'The connection to the server is lost.' : error.message;
  }
  if (running === controller) {
    running = null;
    setRunning(false);
  }
  if (usage && last > first) {
    const speed = (usage.completion_tokens - 1) / (last - first) * 1000;
    const share = context ? ` of ${context}` : '';
    message.note = `${message.note} ${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s, ` +
                   `${usage.total_tokens}${share} tokens of context.`.trim();
    message.note = message.note.trim();
  }
  if (failed && !message.content)
    owner.messages.pop();
  keepChats();
  if (owner !== chat)
    return;
  showChat();
  tell(failed || (message.note === 'Stopped.' ? 'Stopped.' : 'Done.'), failed !== '');
}

function setRunning(isRunning) {
  at('log').setAttribute('aria-busy', String(isRunning));
  at('send').hidden = isRunning;
  at('stop').hidden = !isRunning;
}

function send() {
  const text = at('text').value;
  if (running || !text.trim())
    return;
  if (editing >= 0)
    chat.messages.length = editing;
  editing = -1;
  chat.messages.push({role: 'user', content: text});
  at('text').value = '';
  showChat();
  answer();
}

// Settings.

function openSettings(isOpen) {
  at('settings').hidden = !isOpen;
  at('toggle').setAttribute('aria-expanded', String(isOpen));
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');
function paint() {
  const theme = at('theme').value || (prefersDark.matches ? 'dark' : 'light');
  document.documentElement.className = theme;
}

function exportChat() {
  const file = new Blob([JSON.stringify(chat, null, 2)], {type: 'application/json'});
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(file);
  anchor.download = 'chat.json';
  anchor.click();
  URL.revokeObjectURL(anchor.href);
}

function deleteChat() {
  stop();
  chats = chats.filter((one) => one !== chat);
  keepChats();
  begin();
}

async function learn() {
  try {
    const models = await fetch('/v1/models', {headers: headers()});
    if (!models.ok) {
      tell(await failure(models), true);
      return;
    }
    modelId = (await models.json()).data[0].id;
    at('model').textContent = document.title = modelId;
    const info = await fetch('/tokenizer_info', {headers: headers()});
    if (info.ok) {
      const {chat_template: template, max_model_len: length} = await info.json();
      hasTemplate = Boolean(template);
      context = length;
    }
    tell(hasTemplate ? '' : 'This model has no chat template: it continues each text by itself.');
  } catch {
    tell('The connection to the server is lost.', true);
  }
}

function start() {
  for (const [name, value] of Object.entries(stored('settings', {})))
    if (KEPT.includes(name))
      at(name).value = value;
  at('key').value = sessionStorage.getItem('fairy2.key') ?? '';
  chats = stored('chats', []);
  paint();
  prefersDark.addEventListener('change', paint);
  at('settings').addEventListener('submit', (event) => event.preventDefault());
  at('settings').addEventListener('change', () => {
    store('settings', Object.fromEntries(KEPT.map((name) => [name, at(name).value])));
    paint();
  });
  at('system').addEventListener('input', () => {
    chat.system = at('system').value;
    keepChats();
  });
  at('key').addEventListener('change', () => {
    sessionStorage.setItem('fairy2.key', at('key').value);
    learn();
  });
  at('toggle').addEventListener('click', () => openSettings(at('settings').hidden));
  at('new').addEventListener('click', begin);
  at('chats').addEventListener('change', () => choose(chats[Number(at('chats').value)]));
  at('export').addEventListener('click', exportChat);
  at('delete').addEventListener('click', deleteChat);
  at('stop').addEventListener('click', stop);
  at('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  at('text').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape')
      return;
    stop();
    if (editing >= 0) {
      editing = -1;
      at('text').value = '';
      tell('');
    }
  });
  begin();
  learn();
}

start();
