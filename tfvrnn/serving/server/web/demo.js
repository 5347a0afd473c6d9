// The page: asks the model for futures of a clip, and plays them side by side.

import { readFrames } from "./uploads.js";

const LARGEST_SEED = 2 ** 31 - 1;
const HELD = 6; // times that the last frame is shown
const BUSY = 503;

const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

let model = null; // what demo/model says
let clip = null; // frames, each a Uint8Array: the context, then the truth
let uploaded = null; // such frames of the user's own clip
let futures = []; // of each seed its frames
let tiles = []; // {figure, pen, frames, kind}: what plays
let [time, held] = [0, 0];
let playing = !calm;
let asked = null; // aborts the request in hand

// Asking.

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(error), { status: answer.status });
}

async function askModel() {
  for (;;) {
    try {
      return await (await ask("demo/model")).json();
    } catch (error) {
      if (error.status !== BUSY) throw error;
      say("The model is still loading …");
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

async function predict() {
  asked?.abort();
  if (!clip) return;
  if (!$("controls").reportValidity()) return place([]);
  const own = (asked = new AbortController());
  const [seed, given] = [$("seed").valueAsNumber, model.context_frames];
  const values = {
    frames: clip.slice(0, given).map((frame) => nested(frame, model.image_shape)),
    seed,
    horizon: $("horizon").valueAsNumber,
    temperature: $("temperature").valueAsNumber,
  };
  const inputs = Object.fromEntries(model.inputs.map((name) => [name, [values[name]]]));
  const body = JSON.stringify({ signature_name: model.signature, inputs });
  say("Predicting …");
  $("videos").setAttribute("aria-busy", "true");
  $("save").disabled = true;
  try {
    const began = performance.now();
    const options = { method: "POST", body, signal: own.signal };
    const { outputs } = await (await ask(model.predict, options)).json();
    const seconds = (performance.now() - began) / 1000;
    futures = outputs[0].map((future) => future.map((f) => Uint8Array.from(f.flat(Infinity))));
    show(seed);
    const counted = `${futures.length} futures of ${futures[0].length} frames`;
    say(`${counted}, predicted in ${seconds.toFixed(1)} s.`);
  } catch (error) {
    if (error.name === "AbortError") return; // another request has taken its place
    place([]);
    fail(error);
  }
}

async function save() {
  try {
    const frames = [...clip.slice(0, model.context_frames), ...futures.flat()];
    const options = { method: "POST", body: new Blob(frames) };
    const answer = await ask(`demo/gif?futures=${futures.length}`, options);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = "futures.gif";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    fail(error);
  }
}

/** The pixels of a frame as nested lists. */
function nested(pixels, sides) {
  if (sides.length === 1) return Array.from(pixels);
  const step = pixels.length / sides[0];
  const part = (_, k) => nested(pixels.subarray(k * step, (k + 1) * step), sides.slice(1));
  return Array.from({ length: sides[0] }, part);
}

function say(text, failed = false) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", failed);
}

function fail(error) {
  const lost = error instanceof TypeError && error.message.includes("fetch");
  say(lost ? "The server does not answer." : error.message, true);
}

// Clips.

async function choose() {
  const name = $("clip").value;
  asked?.abort();
  clip = null;
  place([]);
  if (name === "own") {
    clip = uploaded;
  } else {
    try {
      const bytes = await (await ask(`demo/clips/${Number(name)}`)).arrayBuffer();
      if ($("clip").value !== name) return;
      const size = model.image_shape.reduce((a, b) => a * b);
      const part = (_, k) => new Uint8Array(bytes, k * size, size);
      clip = Array.from({ length: bytes.byteLength / size }, part);
    } catch (error) {
      if ($("clip").value !== name) return;
      $("given").hidden = true;
      return fail(error);
    }
  }
  showGiven();
  predict();
}

async function upload() {
  const files = [...$("upload").files];
  if (!files.length) return;
  const given = model.context_frames;
  say("Reading the clip …");
  const most = given + model.longest;
  const frames = await readFrames(files, model.image_shape, most, model.frames_per_second).catch(
    () => [],
  );
  if (frames.length < given) {
    const few = `finds only ${frames.length} of ${given} frames in`;
    const found = `This browser ${frames.length ? few : "cannot read"} ${files[0].name}.`;
    say(`${found} Choose a video, an animated GIF or several images.`, true);
    $("upload").value = "";
    return;
  }
  uploaded = frames;
  if ($("clip").lastElementChild?.value !== "own") $("clip").append(new Option("Your own", "own"));
  $("clip").value = "own";
  $("clip").parentElement.hidden = false;
  choose();
}

// Pictures.

/** A canvas of the model's size, and the pen that draws on it. */
function sheet(label) {
  const [height, width] = model.image_shape;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return [canvas, canvas.getContext("2d")];
}

function draw(pen, frame) {
  const [height, width, channels] = model.image_shape;
  const image = new ImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = frame[channels * k + (c % channels)];
    image.data[4 * k + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
}

function showGiven() {
  const sheets = clip.slice(0, model.context_frames).map((frame, k) => {
    const [canvas, pen] = sheet(`Given frame ${k + 1}`);
    draw(pen, frame);
    return canvas;
  });
  $("strip").replaceChildren(...sheets);
  $("given").hidden = false;
}

/** Tiles of the truth, if it is known, and of each future. */
function show(seed) {
  const given = clip.slice(0, model.context_frames);
  const known = clip.length > given.length;
  const truth = known ? [tile("Truth", clip, "true")] : [];
  truth[0]?.figure.classList.add("truth");
  const drawn = futures.map((future, k) =>
    tile(`Seed ${seed + k}`, [...given, ...future], "predicted"),
  );
  $("truth-note").hidden = !known;
  place([...truth, ...drawn]);
  $("time").max = given.length + futures[0].length - 1;
  go(Math.min(time, $("time").max));
}

function place(list) {
  tiles = list;
  $("videos").replaceChildren(...tiles.map((one) => one.figure));
  $("videos").setAttribute("aria-busy", "false");
  $("player").hidden = $("save").disabled = !tiles.length;
  if (!tiles.length) say("");
}

function tile(name, frames, kind) {
  const [canvas, pen] = sheet(name);
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = name;
  figure.append(canvas, caption);
  return { figure, pen, frames, kind };
}

// Playing.

function go(to) {
  [time, held] = [Number(to), 0];
  const given = time < model.context_frames;
  for (const { figure, pen, frames, kind } of tiles) {
    figure.classList.toggle(kind, !given && time < frames.length);
    figure.classList.toggle("ended", time >= frames.length);
    if (time < frames.length) draw(pen, frames[time]);
    else pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height);
  }
  const number = `Frame ${time + 1} of ${Number($("time").max) + 1}: `;
  $("place").textContent = number + (given ? "given" : "predicted");
  $("time").value = time;
  $("time").setAttribute("aria-valuetext", $("place").textContent);
}

function advance() {
  if (!playing || !tiles.length) return;
  const last = Number($("time").max);
  if (time < last) go(time + 1);
  else if (++held >= HELD) go(0);
}

function play(on) {
  playing = on;
  $("play").textContent = on ? "Pause" : "Play";
}

// The controls.

function prepare() {
  $("count").textContent = model.context_frames;
  $("rate").textContent = model.frames_per_second;
  $("seed").max = LARGEST_SEED - model.samples;
  Object.assign($("horizon"), { max: model.longest, value: model.horizon });
  for (const name of ["horizon", "temperature"]) {
    $(name).parentElement.hidden = !model.inputs.includes(name);
  }
  for (let k = 0; k < model.clips; k++) $("clip").append(new Option(`Test clip ${k + 1}`, k));
  $("clip").parentElement.hidden = !model.clips;
}

function listen() {
  const on = (id, event, action) => $(id).addEventListener(event, action);
  on("controls", "submit", (event) => event.preventDefault());
  on("clip", "change", choose);
  on("upload", "change", upload);
  for (const id of ["seed", "temperature", "horizon"]) on(id, "change", predict);
  on("temperature", "input", () => {
    $("warmth").textContent = $("temperature").valueAsNumber.toFixed(1);
  });
  on("next", "click", () => {
    const next = ($("seed").valueAsNumber || 0) + model.samples;
    $("seed").value = next > Number($("seed").max) ? 0 : next;
    predict();
  });
  on("save", "click", save);
  on("play", "click", () => play(!playing));
  on("time", "input", () => {
    play(false);
    go($("time").value);
  });
}

async function start() {
  try {
    model = await askModel();
  } catch (error) {
    return fail(error);
  }
  prepare();
  listen();
  play(playing);
  setInterval(advance, 1000 / model.frames_per_second);
  if (model.clips) choose();
  else say("Choose a clip of your own.");
}

start();
