// The marks of faults, in the report and on the live page.

// The mark of each kind of fault: 0 for delayed, 1 for another reply, 2 for ended; of a toxic by its type.
const MARKS = {
  sleep: 0, wait: 0, hold: 0, slow: 0, latency: 0, bandwidth: 0, slicer: 0, loss: 0,
  answer: 1, inject: 1, corrupt: 1,
  close: 2, reset: 2, goaway: 2, cut: 2, handshake: 2, slow_close: 2, timeout: 2, reset_peer: 2, limit_data: 2,
};

// A shape for each kind of fault, so that they differ without colour: a triangle, a diamond, a cross.
const MARKS_DRAWN = [
  (pen, x, y) => {
    pen.moveTo(x - 3, y + 1);
    pen.lineTo(x + 3, y + 1);
    pen.lineTo(x, y + 6);
    pen.closePath();
  },
  (pen, x, y) => {
    pen.moveTo(x, y);
    pen.lineTo(x + 3, y + 3);
    pen.lineTo(x, y + 6);
    pen.lineTo(x - 3, y + 3);
    pen.closePath();
  },
  (pen, x, y) => {
    pen.moveTo(x - 3, y);
    pen.lineTo(x + 3, y + 6);
    pen.moveTo(x + 3, y);
    pen.lineTo(x - 3, y + 6);
  },
];

// Draws marks: for each shape a list of its places, x before y.
function drawMarks(pen, ink, marks) {
  pen.fillStyle = ink;
  pen.strokeStyle = ink;
  marks.forEach((places, shape) => {
    pen.beginPath();
    for (let at = 0; at < places.length; at += 2) MARKS_DRAWN[shape](pen, places[at], places[at + 1]);
    pen.fill();
    pen.lineWidth = 1.5;
    pen.stroke();
  });
  pen.lineWidth = 1;
}
