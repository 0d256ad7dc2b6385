// Sound in, plain WAV out: what is trimmed or recorded here is sent in the one form that everybody reads.

export async function decode(blob) {
  const context = new (window.AudioContext || window.webkitAudioContext)();
  try {
    return await context.decodeAudioData(await blob.arrayBuffer());
  } finally {
    context.close();
  }
}

// Peaks of `columns` equal parts, 0..1.
export function peaks(sound, columns) {
  const data = sound.getChannelData(0);
  const step = data.length / columns;
  const found = new Float32Array(columns);
  for (let column = 0; column < columns; column += 1) {
    const end = Math.min(data.length, Math.ceil((column + 1) * step));
    for (let at = Math.floor(column * step); at < end; at += 1) {
      const size = Math.abs(data[at]);
      if (size > found[column]) found[column] = size;
    }
  }
  return found;
}

// Seconds from..to, mono, 16 bits.
export function wav(sound, from, to) {
  const rate = sound.sampleRate;
  const first = Math.max(0, Math.round(from * rate));
  const last = Math.min(sound.length, Math.round(to * rate));
  const channels = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  const view = new DataView(new ArrayBuffer(44 + 2 * (last - first)));
  const text = (at, word) => [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, view.byteLength - 8, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, rate * 2, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, view.byteLength - 44, true);
  for (let at = first; at < last; at += 1) {
    let value = 0;
    for (const channel of channels) value += channel[at];
    value = Math.max(-1, Math.min(1, value / channels.length));
    view.setInt16(44 + 2 * (at - first), Math.round(value * 32767), true);
  }
  return new Blob([view], { type: "audio/wav" });
}
