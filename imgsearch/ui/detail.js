// The picture beside the facts opens at full size; the panel comes into view when it changes.
element.addEventListener('click', (event) => {
  if (event.target.closest('[data-full]')) trigger('click', {});
});
watch('value', () => element.scrollIntoView({ block: 'nearest' }));
