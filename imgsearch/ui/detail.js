// Opens the picture at full size when it is pressed; scrolls the panel into view when it changes.
element.addEventListener('click', (event) => {
  if (event.target.closest('[data-full]')) trigger('click', {});
});
watch('value', () => element.scrollIntoView({ block: 'nearest' }));
