// The button shows the rail, and hides it again, on a narrow screen.
element.addEventListener('click', () => {
  const button = element.querySelector('button');
  const open = document.querySelector('.rail').classList.toggle('open');
  button.setAttribute('aria-expanded', String(open));
});
