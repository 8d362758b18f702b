// Tells the server in which time zone the browser is (see sagas/admin/zone.py). Nothing else is stored or sent.
(() => {
  "use strict";
  const { path, zone, fresh } = document.currentScript.dataset;
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!mine || !/^[A-Za-z0-9_+\/-]+$/.test(mine)) return;

  const pair = `sagas_zone=${mine}`;
  const stored = () => document.cookie.split("; ").includes(pair);
  const known = stored();
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${pair}; path=${path}; max-age=31536000; samesite=lax${secure}`;

  // Once: the next time the cookie is known already. Never where cookies are blocked, nor for the answer to a form.
  if (!known && stored() && fresh && zone !== mine) location.reload();
})();
