// The tiles of a gallery are buttons; pressing one sends its id to the page.
element.addEventListener('click', (event) => {
  const tile = event.target.closest('[data-id]');
  if (!tile) return;
  for (const each of element.querySelectorAll('[data-id]'))
    each.setAttribute('aria-pressed', String(each === tile));
  trigger('select', { id: tile.dataset.id });
});
