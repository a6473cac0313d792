/** The number of the event loop's turn, until disposed. */
export function countTurns(): Disposable & { readonly now: number } {
  let now = 0;
  let isOver = false;
  const count = () => {
    now++;
    if (!isOver) setImmediate(count);
  };
  count();
  return {
    get now() {
      return now;
    },
    [Symbol.dispose]: () => void (isOver = true),
  };
}
