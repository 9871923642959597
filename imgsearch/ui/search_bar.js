// Takes an image that is dropped or pasted anywhere on the page into the search bar.
const bar = () => {
  const box = document.querySelector('#words');
  return box && box.offsetParent ? box : null; // none while another tab is open
};
const take = async (files) => {
  const image = [...files].find((file) => file.type.startsWith('image/'));
  if (!image || !bar()) return;
  for (const button of bar().querySelectorAll('.delete-button')) button.click(); // one image only
  for (let tries = 0; tries < 20 && !bar().querySelector('input[type=file]'); tries += 1)
    await new Promise(requestAnimationFrame); // the field is back when the bar has no image
  const field = bar().querySelector('input[type=file]');
  const kept = new DataTransfer();
  kept.items.add(image);
  field.files = kept.files;
  field.dispatchEvent(new Event('change', { bubbles: true }));
};
const elsewhere = (event) => !event.target.closest || !event.target.closest('#words, .cut');
document.addEventListener('dragover', (event) => {
  if (bar() && elsewhere(event)) event.preventDefault();
});
document.addEventListener('drop', (event) => {
  if (!bar() || !elsewhere(event) || !event.dataTransfer.files.length) return;
  event.preventDefault();
  take(event.dataTransfer.files);
});
document.addEventListener('paste', (event) => {
  if (elsewhere(event)) take(event.clipboardData.files);
});
