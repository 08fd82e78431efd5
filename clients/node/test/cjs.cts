// The types of a CommonJS module that uses the client. tsc reads this file, and nothing runs it.
import vaurien = require('vaurien');

const { Proxy, VaurienError, connect } = vaurien;

async function main(): Promise<number> {
  const proxy: vaurien.Proxy = await Proxy.start({ backend: 'localhost:6379', protocol: 'redis' });
  try {
    return await proxy.fault('hang', async () => (await connect()).port);
  } catch (error) {
    return error instanceof VaurienError ? (error.status ?? 0) : 1;
  } finally {
    await proxy.stop();
  }
}
main();
