// Sets the theme before anything is painted: the one chosen here, else the one of the system.
'use strict';
(() => {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => {
    try {
      return localStorage.getItem('ephor.theme');
    } catch {
      // Storage may be switched off: then the choice lasts as long as the page.
      return null;
    }
  };
  const set = () => {
    document.documentElement.dataset.theme = chosen() ?? (system.matches ? 'dark' : 'light');
  };
  set();
  system.addEventListener('change', set);
})();
