// Opens the full-size view; Escape and its button close it.
watch('value', () => {
  const dialog = element.querySelector('dialog');
  if (dialog && !dialog.open) dialog.showModal();
});
element.addEventListener('click', (event) => {
  if (event.target.tagName === 'DIALOG') event.target.close();
});
