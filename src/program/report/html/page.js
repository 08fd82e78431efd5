// What the page does of itself. It says on its root whether that went well: `data-drawn` is how many calls were drawn.
const root = document.documentElement;
const element = (id) => document.getElementById(id);

addEventListener('error', ({ message }) => { root.dataset.failed = message; });
addEventListener('unhandledrejection', ({ reason }) => { root.dataset.failed = String(reason); });

const copy = element('copy');
if (copy) {
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    const line = element('again');
    try {
      await navigator.clipboard.writeText(line.textContent);
      copy.textContent = 'Copied';
    } catch {
      // In a sandbox the clipboard may be out of reach: the line is left to be copied by hand.
      getSelection().selectAllChildren(line);
      copy.textContent = 'Selected';
    }
  });
}
