// A collection of the list is chosen by a press.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-name]');
  if (button) trigger('select', { name: button.dataset.name });
});
