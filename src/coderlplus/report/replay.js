// A recorded execution that winds forward and back. Each step knows what was there before it, so a move costs no more than the steps in between.

class Replay {
  // `data` has the tables `scopes`, `names`, `activations`, and `steps`: [line, activation, depth, printed, change, …].
  constructor(data) {
    this.frames = new Map(data.activations.map(([number, scope]) => [number, { number, scope: data.scopes[scope], line: 0, values: new Map(), order: [] }]));
    this.steps = [];
    this.at = -1;
    let top = null;
    for (const [line, activation, depth, printed, ...changes] of data.steps) {
      const frame = this.frames.get(activation);
      top = stacked(top, frame, depth);
      const step = { number: this.steps.length, line, frame, printed, stack: top, lineBefore: frame.line, changes: [] };
      for (const [owner, name, ...difference] of changes) step.changes.push(this.change(this.frames.get(owner), data.names[name], difference));
      frame.line = line;
      this.steps.push(step);
    }
    this.at = this.steps.length - 1;
    this.visits = new Map(); // line → the steps that ran it
    for (const step of this.steps) {
      if (!this.visits.has(step.line)) this.visits.set(step.line, []);
      this.visits.get(step.line).push(step.number);
    }
    this.moveTo(-1);
  }

  change(frame, name, [start, text, end]) {
    const before = frame.values.get(name);
    let after;
    if (text !== undefined) {
      const old = before || "";
      after = old.slice(0, start) + text + old.slice(old.length - end);
    }
    if (!frame.order.includes(name)) frame.order.push(name);
    set(frame, name, after);
    return { frame, name, before, after };
  }

  moveTo(number) {
    while (this.at < number) {
      const step = this.steps[++this.at];
      for (const { frame, name, after } of step.changes) set(frame, name, after);
      step.frame.line = step.line;
    }
    while (this.at > number) {
      const step = this.steps[this.at--];
      for (const { frame, name, before } of step.changes.toReversed()) set(frame, name, before);
      step.frame.line = step.lineBefore;
    }
  }
}

function set(frame, name, value) {
  if (value === undefined) frame.values.delete(name);
  else frame.values.set(name, value);
}

// The stack after a step of `frame` at `depth`, as a linked list from the innermost call outwards that shares what does not change.
function stacked(top, frame, depth) {
  while (top && top.depth > depth) top = top.caller;
  if (top && top.depth === depth) {
    if (top.frame === frame) return top;
    top = top.caller;
  }
  return { frame, depth, caller: top };
}

// Which part of a text is new: [start, end) in `after`, widened to whole words and characters.
function difference(before, after) {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  end = after.length - end;
  const inside = (at) => at > 0 && at < after.length && /[\w.\udc00-\udfff]/.test(after[at]) && /[\w.\ud800-\udbff]/.test(after[at - 1]);
  while (start < end && inside(start)) start--;
  while (start < end && inside(end)) end++;
  return [start, end];
}
