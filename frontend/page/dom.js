// What every view needs of the document. Text enters it as text: nothing here or elsewhere parses markup.

export const byId = (id) => document.getElementById(id);

// An element with properties and children; a child is a node or a string.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function button(label, onclick) {
  return element('button', { type: 'button', onclick }, label);
}

// A button that copies text() and says so.
export function copyButton(text) {
  const copy = button('Copy', async () => {
    copy.textContent = (await copied(text())) ? 'Copied' : 'Not allowed';
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  });
  return copy;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard object where the page came over plain HTTP from another machine.
    const holder = element('textarea', { value: text, className: 'hidden' });
    document.body.append(holder);
    holder.select();
    const done = document.execCommand('copy');
    holder.remove();
    return done;
  }
}
