// Plays the finished pieces of a running job one after the other; more may arrive while it plays.
export default function ({ parentElement, data }) {
  const video = parentElement.querySelector(".ls-piece");
  const button = parentElement.querySelector(".ls-play");
  const state = (video.lipSync ??= { index: 0, waiting: false });
  state.count = data.count;
  parentElement.querySelector(".ls-pieces").style.setProperty("--ls-aspect", data.aspect);

  function show(index) {
    state.index = index;
    state.waiting = false;
    video.src = `${data.url}/${index}`;
  }

  function draw() {
    const at_end = state.waiting || video.paused;
    button.textContent = at_end ? "play_arrow" : "pause";
    button.setAttribute("aria-label", at_end ? "Play what is finished" : "Pause");
    parentElement.querySelector(".ls-clock").textContent = state.waiting
      ? "Waiting for the next part …" : `Part ${state.index + 1} of ${state.count} finished so far · without sound`;
  }

  video.onplay = video.onpause = draw;
  video.onended = () => {
    if (state.index + 1 < state.count) { show(state.index + 1); video.play(); }
    else state.waiting = true;
    draw();
  };
  button.onclick = () => {
    if (state.waiting) { show(0); video.play(); }
    else if (video.paused) video.play();
    else video.pause();
  };
  parentElement.querySelector("figcaption").textContent = "Finished so far";
  if (!video.getAttribute("src") && data.count > 0) show(0);
  if (state.waiting && state.index + 1 < state.count) { show(state.index + 1); video.play(); }
  draw();
  return () => video.pause();
}
