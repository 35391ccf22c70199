// Sign-up pages work without this. It checks the address while a person types, and watches a workspace being built.
(() => {
  const by = (id) => document.getElementById(id);
  const slug = by('slug'), name = by('organisation'), out = by('address');
  if (slug && out) {
    let turn = 0;
    const ask = () => {
      by('slug-e')?.remove();
      slug.removeAttribute('aria-invalid');
      const mine = ++turn;
      setTimeout(async () => {
        if (mine !== turn) return;
        const query = new URLSearchParams({ slug: slug.value, organisation: name.value });
        const found = await fetch(`/signup/address?${query}`).then((r) => r.ok && r.json(), () => 0);
        if (!found || mine !== turn) return;
        out.textContent = found.text;
        out.className = found.free ? 'hint' : 'field-error';
        slug.placeholder = slug.value ? '' : found.slug;
      }, 250);
    };
    slug.addEventListener('input', ask);
    name.addEventListener('input', ask);
    if (!by('slug-e') && name.value) ask();
  }
  const look = async () => {
    const region = by('progress');
    if (!region || !('watch' in region.dataset)) return;
    const text = document.hidden ? '' : await fetch(location.href).then((r) => r.ok && r.text(), () => '');
    const fresh = text && new DOMParser().parseFromString(text, 'text/html').getElementById('progress');
    if (fresh) {
      if (!('watch' in fresh.dataset)) delete region.dataset.watch;
      if (fresh.innerHTML !== region.innerHTML) region.innerHTML = fresh.innerHTML;
    }
    setTimeout(look, 1500);
  };
  setTimeout(look, 1500);
})();
