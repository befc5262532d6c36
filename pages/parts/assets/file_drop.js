// A drop zone that sends one file straight to the disk of the server (PUT files/<draft>/<kind>), with a progress bar.
export default function ({ parentElement, data, setTriggerValue }) {
  const find = (name) => parentElement.querySelector(`.ls-drop-${name}`);
  const zone = parentElement.querySelector(".ls-drop");
  const input = find("input");
  zone.dataset.kind = data.kind;
  find("icon").textContent = data.icon;
  find("title").textContent = data.title;
  find("hint").textContent = data.hint;
  input.accept = data.accept;
  input.setAttribute("aria-label", data.title);

  function show(state, message) {
    zone.dataset.state = state;
    find("message").textContent = message ?? "";
  }

  function refuse(message) {
    input.value = "";
    show("refused", message);
  }

  function send(file) {
    if (!file || zone.dataset.state === "sending") return;
    if (file.size === 0) return refuse(`“${file.name}” is empty. Please choose another file.`);
    if (file.size > data.max_bytes) return refuse(`“${file.name}” is too large: at most ${data.max_words} are accepted.`);
    const request = new XMLHttpRequest();
    request.open("PUT", `${data.url}?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => {
      const share = event.total ? event.loaded / event.total : 0;
      find("bar").style.width = `${100 * share}%`;
      show("sending", share < 1 ? `Sending ${file.name} · ${Math.floor(100 * share)} %` : `Looking at ${file.name} …`);
    };
    request.onload = () => {
      if (request.status === 204) {
        show("sent", `${file.name} is here.`);
        setTriggerValue("uploaded", file.name);
        return;
      }
      let message = "The server did not take this file. Please try again.";
      if ((request.getResponseHeader("content-type") ?? "").includes("json")) message = JSON.parse(request.responseText).message;
      refuse(message);
    };
    request.onerror = () => refuse("The connection broke while the file was being sent. Please try again.");
    request.onabort = () => show("idle");
    find("cancel").onclick = (event) => { event.preventDefault(); request.abort(); input.value = ""; };
    find("bar").style.width = "0";
    show("sending", `Sending ${file.name} …`);
    request.send(file);
  }

  if (!zone.dataset.state) show("idle");
  input.onchange = () => send(input.files[0]);
  zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("ls-drop-over"); };
  zone.ondragleave = () => zone.classList.remove("ls-drop-over");
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove("ls-drop-over");
    send(event.dataTransfer.files[0]);
  };
}
