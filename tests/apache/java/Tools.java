import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache's tools one after the other in this one process, which starts once where each of them took a second to.
 * Tools PORT_FILE: listens on a loopback port and writes it there. A request is the tool's class, files for its three
 * streams, the number of its arguments and these, each ended by a NUL; the answer is its exit status.
 */
public class Tools {
    private static final long PATIENCE_S = 180;

    /** Switched between tools; some of them keep the streams they found first. */
    private static final class Out extends FilterOutputStream {
        Out() {
            super(OutputStream.nullOutputStream());
        }

        synchronized void use(OutputStream to) {
            out = to;
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int size) throws IOException {
            out.write(bytes, offset, size);
        }
    }

    private static final class In extends FilterInputStream {
        In() {
            super(InputStream.nullInputStream());
        }

        synchronized void use(InputStream from) {
            in = from;
        }
    }

    private static final Out OUT = new Out();
    private static final Out ERR = new Out();
    private static final In IN = new In();
    private static CompletableFuture<Integer> running;

    /** A tool that wants to exit has ended: its thread goes no further, and nothing of it runs that would not have. */
    private static void exited(int status, String message) {
        running.complete(status);
        while (true) {
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException e) {
                // it has ended all the same
            }
        }
    }

    private static int run(String tool, String[] arguments) throws Exception {
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        running = ended;
        Thread thread = new Thread(() -> {
            try {
                Method main = Class.forName(tool).getMethod("main", String[].class);
                main.invoke(null, (Object) arguments);
                ended.complete(0);
            } catch (InvocationTargetException e) {
                System.err.print("Exception in thread \"main\" ");
                e.getCause().printStackTrace();
                ended.complete(1);
            } catch (ReflectiveOperationException e) {
                e.printStackTrace();
                ended.complete(1);
            }
        }, "main");
        thread.setDaemon(true);
        thread.start();
        try {
            return ended.get(PATIENCE_S, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            System.err.println("it did not end within " + PATIENCE_S + " s");
            return 124;
        }
    }

    private static String field(DataInputStream in) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (byte b = in.readByte(); b != 0; b = in.readByte()) {
            bytes.write(b);
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    private static void serve(Socket socket) throws Exception {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        String tool = field(in);
        String inName = field(in), outName = field(in), errName = field(in);
        String[] arguments = new String[Integer.parseInt(field(in))];
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = field(in);
        }
        int status;
        try (FileInputStream stdin = new FileInputStream(inName);
                FileOutputStream stdout = new FileOutputStream(outName);
                FileOutputStream stderr = new FileOutputStream(errName)) {
            IN.use(stdin);
            OUT.use(stdout);
            ERR.use(stderr);
            status = run(tool, arguments);
            System.out.flush();
            System.err.flush();
            IN.use(InputStream.nullInputStream());
            OUT.use(OutputStream.nullOutputStream());
            ERR.use(OutputStream.nullOutputStream());
        }
        socket.getOutputStream().write((status + "\n").getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Exception {
        System.setIn(IN);
        System.setOut(new PrintStream(OUT, true));
        System.setErr(new PrintStream(ERR, true));
        Exit.setExitProcedure(Tools::exited);
        Exit.setHaltProcedure(Tools::exited);
        Exit.setShutdownHookAdder((name, runnable) -> {});
        try (ServerSocket server = new ServerSocket(0, 16, InetAddress.getLoopbackAddress())) {
            File file = new File(arguments[0] + ".new");
            Files.writeString(file.toPath(), server.getLocalPort() + "\n");
            Files.move(file.toPath(), Path.of(arguments[0]), StandardCopyOption.ATOMIC_MOVE);
            while (true) {
                try (Socket socket = server.accept()) {
                    serve(socket);
                }
            }
        }
    }
}
