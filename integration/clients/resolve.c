/* Resolves a name with the C library's resolver and prints the addresses, one a line. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **words)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char text[64];
	int error = count == 2 ? getaddrinfo(words[1], NULL, &hints, &found) : EAI_NONAME;

	if (error) {
		fprintf(stderr, "%s\n", gai_strerror(error));
		return 1;
	}
	for (struct addrinfo *each = found; each; each = each->ai_next)
		if (!getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST))
			puts(text);
	freeaddrinfo(found);
	return 0;
}
