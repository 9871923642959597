// Reports that a visitor went back or forward in the browser's history.
history.replaceState(null, '', location.href);
window.addEventListener('popstate', () => trigger('select', {}));
