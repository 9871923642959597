// A field of the list asks for its values when it is opened; a value is chosen by a press.
element.addEventListener('toggle', (event) => {
  const field = event.target;
  if (field.open && field.dataset.filled === undefined)
    trigger('select', { field: field.dataset.field });
}, true);
element.addEventListener('click', (event) => {
  const value = event.target.closest('[data-value]');
  if (!value) return;
  const { field } = value.closest('[data-field]').dataset;
  trigger('click', { field, value: JSON.parse(value.dataset.value) });
});
