// Selects a rectangle of a picture, drawn with a pointer or adjusted with four sliders.
const slider = (name) => element.querySelector(`[data-edge=${name}]`);
const edges = () =>
  ['left', 'top', 'right', 'bottom'].map((name) => Number(slider(name).value) / 100);
const draw = () => {
  const frame = element.querySelector('.cut span');
  if (!frame) return;
  const [left, top, right, bottom] = edges();
  frame.style.inset = [top, 1 - right, 1 - bottom, left].map((part) => `${part * 100}%`).join(' ');
};
const place = (event) => {
  const box = element.querySelector('.cut').getBoundingClientRect();
  const part = (at, from, length) => Math.min(100, Math.max(0, (100 * (at - from)) / length));
  return [part(event.clientX, box.left, box.width), part(event.clientY, box.top, box.height)];
};
let start = null;
element.addEventListener('pointerdown', (event) => {
  if (!event.target.closest('.cut')) return;
  start = place(event);
  event.target.setPointerCapture(event.pointerId);
  event.preventDefault();
});
element.addEventListener('pointermove', (event) => {
  if (!start) return;
  const end = place(event);
  slider('left').value = Math.min(start[0], end[0]);
  slider('right').value = Math.max(start[0], end[0]);
  slider('top').value = Math.min(start[1], end[1]);
  slider('bottom').value = Math.max(start[1], end[1]);
  draw();
});
element.addEventListener('pointerup', () => { start = null; });
element.addEventListener('input', draw);
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-crop]');
  if (!button) return;
  if (button.dataset.crop === 'search') trigger('select', { edges: edges() });
  else trigger('click', {});
});
