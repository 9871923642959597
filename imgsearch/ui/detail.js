// Opens the full-size view when the picture is pressed; scrolls to the panel when it changes.
element.addEventListener('click', (event) => {
  if (event.target.closest('[data-full]')) trigger('click', {});
});
watch('value', () => element.scrollIntoView({ block: 'nearest' }));
