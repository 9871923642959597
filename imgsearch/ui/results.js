// Scrolls results into view when they change: on a narrow screen they are below the fields.
watch('value', () => {
  if (window.innerWidth >= 700 || !element.querySelector('p:not(.newest)')) return;
  // after two frames the tiles are rendered, and the page is long enough to scroll
  requestAnimationFrame(() =>
    requestAnimationFrame(() => element.scrollIntoView({ block: 'start' })));
});
