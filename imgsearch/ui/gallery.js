// A gallery's tiles are buttons; the one that was pressed is the page's event.
element.addEventListener('click', (event) => {
  const tile = event.target.closest('[data-id]');
  if (!tile) return;
  for (const each of element.querySelectorAll('[data-id]'))
    each.setAttribute('aria-pressed', String(each === tile));
  trigger('select', { id: tile.dataset.id });
});
