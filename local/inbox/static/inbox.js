"use strict";

const letters = document.getElementById("letters");

async function refresh() {
  const address = new URL(location.href);
  address.searchParams.set("fragment", "");
  const answer = await fetch(address);
  if (answer.ok) letters.innerHTML = await answer.text();
}

function follow() {
  let version = null;
  const news = new EventSource(`${document.documentElement.dataset.root}/news`);
  news.onmessage = (event) => {
    if (event.data !== version) refresh();
    version = event.data;
  };
  return news;
}

if (letters) {
  let news = follow();
  // A browser opens few connections to one address: pages in the background give theirs back.
  document.addEventListener("visibilitychange", () => {
    news.close();
    if (!document.hidden) news = follow();
  });
  document.querySelector("form.clear").addEventListener("submit", (event) => {
    if (!confirm("Let go of all letters?")) event.preventDefault();
  });
}
