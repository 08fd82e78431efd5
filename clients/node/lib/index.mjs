// One implementation for both: `Proxy` and `VaurienError` are the same classes, however they were loaded.
import vaurien from './index.js';

export const { Proxy, VaurienError, connect, programPath } = vaurien;
