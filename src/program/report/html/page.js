// The page's own script. The root element has the result for tests: `data-drawn` is how many calls were drawn.
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
      // A sandbox may deny the clipboard: select the line, so that the user can copy it.
      getSelection().selectAllChildren(line);
      copy.textContent = 'Selected';
    }
  });
}
