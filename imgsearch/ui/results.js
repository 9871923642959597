// On a narrow screen results stand below the fields: they come into view when they change.
watch('value', () => {
  if (window.innerWidth >= 700 || !element.querySelector('p')) return;
  // two frames on the tiles below are there, and the page is long enough to be scrolled
  requestAnimationFrame(() =>
    requestAnimationFrame(() => element.scrollIntoView({ block: 'start' })));
});
