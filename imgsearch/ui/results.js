// On a narrow screen results stand below the fields: they come into view when they change.
watch('value', () => {
  if (window.innerWidth < 700 && element.querySelector('p'))
    element.scrollIntoView({ block: 'start' });
});
