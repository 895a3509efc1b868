// In the audio thread: hands the microphone's samples, one channel, to the page in pieces of about 0.1 s.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = new Float32Array(Math.round(sampleRate / 10));
    this.count = 0;
    this.port.onmessage = () => { this.give(); this.port.postMessage(null); };
  }

  give() {
    if (this.count) this.port.postMessage(this.held.slice(0, this.count));
    this.count = 0;
  }

  process([input]) {
    const channel = input[0];
    if (!channel) return true;
    let from = 0;
    while (from < channel.length) {
      const size = Math.min(channel.length - from, this.held.length - this.count);
      this.held.set(channel.subarray(from, from + size), this.count);
      this.count += size;
      from += size;
      if (this.count === this.held.length) this.give();
    }
    return true;
  }
}
registerProcessor("capture", Capture);
