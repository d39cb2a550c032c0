// For people's own pages: how far one task is, told as it changes. Needs nothing else of the dashboard.
//
//   import { TaskMonitor } from '/ui/monitor.js';
//   const monitor = new TaskMonitor('task_…').onProgress(({ task_id, overall_progress }) => …).onEnd(({ status }) => …);
//   monitor.close();

const FINAL = ['COMPLETED', 'FAILED', 'CANCELLED', 'STOPPED'];

/**
 * Watches a task by its id or name. `onProgress` is told at once and whenever something changes, at most four times a second, in the words of
 * `GET /api/v1/tasks/{id}/progress`; `onEnd` once it has ended, after which nothing is told any more; `onTrouble` that the line is lost: the
 * browser looks for it again by itself.
 */
export class TaskMonitor {
  #source;
  #told = { progress: [], end: [], trouble: [] };
  #last = null;

  constructor(taskId, { server = '' } = {}) {
    this.#source = new EventSource(`${server}/api/v1/tasks/${encodeURIComponent(taskId)}/progress`);
    this.#source.addEventListener('progress', (event) => this.#take(JSON.parse(event.data)));
    this.#source.addEventListener('error', () => this.#tell('trouble', this.#last));
  }

  onProgress(listener) {
    this.#told.progress.push(listener);
    if (this.#last) listener(this.#last);
    return this;
  }

  onEnd(listener) {
    this.#told.end.push(listener);
    if (this.#last && FINAL.includes(this.#last.status)) listener(this.#last);
    return this;
  }

  onTrouble(listener) {
    this.#told.trouble.push(listener);
    return this;
  }

  /** Stops watching. */
  close() {
    this.#source.close();
  }

  #take(progress) {
    this.#last = progress;
    this.#tell('progress', progress);
    if (FINAL.includes(progress.status)) {
      this.close();
      this.#tell('end', progress);
    }
  }

  #tell(what, value) {
    for (const listener of this.#told[what]) listener(value);
  }
}
