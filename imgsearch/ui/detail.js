// Opens the full-size view, copies the id, reports a video that cannot be played, and scrolls to the
// panel when it changes.
const copy = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea'); // without TLS there is no clipboard
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
};
element.addEventListener('click', async (event) => {
  if (event.target.closest('[data-full]')) trigger('click', {});
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  await copy(button.dataset.copy);
  button.textContent = 'Copied';
});
// errors of media do not bubble
element.addEventListener('error', (event) => {
  if (event.target.tagName === 'VIDEO') event.target.nextElementSibling.hidden = false;
}, true);
watch('value', () => element.scrollIntoView({ block: 'nearest' }));
