// Decode a clip of the user's own with the browser, into frames of the model's size.

/**
 * The frames of a video, an animated image or several images.
 * @param {File[]} files one video or animated image, or images, one per frame
 * @param {number[]} shape [height, width, channels] of the model
 * @param {number} most frames to read
 * @param {number} rate frames to take of a second of video
 * @returns {Promise<Uint8Array[]>}
 */
export async function readFrames(files, shape, most, rate) {
  const frames = [];
  for await (const [picture, width, height] of pictures(files, rate)) {
    frames.push(fitted(picture, width, height, shape));
    if (frames.length >= most) break;
  }
  return frames;
}

async function* pictures(files, rate) {
  if (files.length > 1) {
    const inOrder = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });
    for (const file of [...files].sort(inOrder)) yield* still(file);
  } else if (files[0].type.startsWith("video/")) {
    yield* ofVideo(files[0], rate);
  } else if ("ImageDecoder" in window && (await ImageDecoder.isTypeSupported(files[0].type))) {
    yield* ofAnimation(files[0]);
  } else {
    yield* still(files[0]);
  }
}

async function* still(file) {
  const bitmap = await createImageBitmap(file);
  yield [bitmap, bitmap.width, bitmap.height];
  bitmap.close();
}

async function* ofAnimation(file) {
  const decoder = new ImageDecoder({ data: await file.arrayBuffer(), type: file.type });
  try {
    await Promise.all([decoder.tracks.ready, decoder.completed]);
    for (let k = 0; k < decoder.tracks.selectedTrack.frameCount; k++) {
      const { image } = await decoder.decode({ frameIndex: k });
      yield [image, image.displayWidth, image.displayHeight];
      image.close();
    }
  } finally {
    decoder.close();
  }
}

async function* ofVideo(file, rate) {
  const video = document.createElement("video");
  const url = URL.createObjectURL(file);
  const happened = (name) =>
    new Promise((resolve, reject) => {
      video.addEventListener(name, resolve, { once: true });
      video.addEventListener("error", () => reject(video.error), { once: true });
    });
  try {
    video.muted = video.playsInline = true;
    video.preload = "auto";
    const loaded = happened("loadeddata");
    video.src = url;
    await loaded;
    // The middle of each interval: a frame's first moment may still show the one before.
    for (let k = 0; (k + 0.5) / rate < video.duration && !video.ended; k++) {
      const sought = happened("seeked");
      video.currentTime = (k + 0.5) / rate;
      await sought;
      yield [video, video.videoWidth, video.videoHeight];
    }
  } finally {
    video.removeAttribute("src");
    URL.revokeObjectURL(url);
  }
}

/** The centre square of a picture at the model's size, grey if need be, on black. */
function fitted(picture, width, height, shape) {
  const [rows, columns, channels] = shape;
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const side = Math.min(width, height);
  pen.fillRect(0, 0, columns, rows);
  pen.imageSmoothingQuality = "high";
  const corner = [(width - side) >> 1, (height - side) >> 1];
  pen.drawImage(picture, ...corner, side, side, 0, 0, columns, rows);
  const { data } = pen.getImageData(0, 0, columns, rows);
  const frame = new Uint8Array(rows * columns * channels);
  for (let k = 0; k < rows * columns; k++) {
    const colour = data.subarray(4 * k, 4 * k + 3);
    if (channels === 3) frame.set(colour, 3 * k);
    else frame[k] = Math.round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]);
  }
  return frame;
}
