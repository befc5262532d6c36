// Source and result side by side, moved by one set of controls; the result leads and has the sound.
const LARGEST_DRIFT = 0.08; // seconds by which the source may be off before it is set right: about two frames

function clock(seconds) {
  const whole = Math.floor(Number.isFinite(seconds) ? seconds : 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function setSource(parent, data) {
  const pane = parent.querySelector(".ls-pane-before");
  if (pane.dataset.url === data.before_url) return;
  pane.dataset.url = data.before_url;
  pane.querySelector("video, img")?.remove();
  const element = document.createElement(data.before_is_picture ? "img" : "video");
  if (data.before_is_picture) element.alt = "The picture before";
  else Object.assign(element, { muted: true, playsInline: true, preload: "auto" });
  element.className = "ls-before";
  element.src = data.before_url;
  pane.append(element);
}

export default function ({ parentElement, data }) {
  const find = (name) => parentElement.querySelector(`.ls-${name}`);
  const after = find("after");
  setSource(parentElement, data);
  find("compare").style.setProperty("--ls-aspect", data.aspect);
  find("compare").dataset.wide = data.aspect > 1.2; // on a phone: one below the other
  if (after.getAttribute("src") !== data.after_url) after.src = data.after_url;
  const before = () => parentElement.querySelector("video.ls-before");

  function align() {
    const video = before();
    if (!video || !Number.isFinite(video.duration)) return;
    const target = Math.min(after.currentTime, video.duration);
    if (Math.abs(video.currentTime - target) > LARGEST_DRIFT) video.currentTime = target;
    const shall_run = !after.paused && after.currentTime < video.duration - LARGEST_DRIFT;
    if (shall_run && video.paused) video.play().catch(() => {}); // a refused autoplay of a muted twin changes nothing
    if (!shall_run && !video.paused) video.pause();
  }

  function draw() {
    find("play").textContent = after.paused ? "play_arrow" : "pause";
    find("play").setAttribute("aria-label", after.paused ? "Play" : "Pause");
    find("clock").textContent = `${clock(after.currentTime)} / ${clock(after.duration)}`;
    find("seek").value = after.duration ? after.currentTime / after.duration : 0;
    align();
  }

  for (const name of ["play", "pause", "timeupdate", "seeked", "loadedmetadata", "ended"]) after[`on${name}`] = draw;
  const toggle = () => (after.paused ? after.play() : after.pause());
  find("play").onclick = toggle;
  find("compare-stage").onclick = toggle;
  find("seek").oninput = (event) => { after.currentTime = event.target.value * (after.duration || 0); align(); };
  find("loop").onclick = () => { after.loop = !after.loop; find("loop").setAttribute("aria-pressed", after.loop); };
  find("slow").onclick = () => {
    after.playbackRate = after.playbackRate === 1 ? 0.5 : 1;
    if (before()) before().playbackRate = after.playbackRate;
    find("slow").setAttribute("aria-pressed", after.playbackRate !== 1);
  };
  find("mute").onclick = () => {
    after.muted = !after.muted;
    find("mute").textContent = after.muted ? "volume_off" : "volume_up";
    find("mute").setAttribute("aria-pressed", !after.muted);
  };
  find("full").onclick = () => after.requestFullscreen?.();
  draw();
  return () => after.pause();
}
