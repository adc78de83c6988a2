#include "base.h"

void *memcpy(void *to, const void *from, size_t count)
{
	void *start = to;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	return start;
}

void *memset(void *to, int byte, size_t count)
{
	void *start = to;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(byte) : "memory");
	return start;
}

size_t strlen(const char *text)
{
	const char *end = text;
	while (*end)
		end++;
	return (size_t)(end - text);
}

int same_text(const char *left, const char *right)
{
	while (*left && *left == *right) {
		left++;
		right++;
	}
	return *left == *right;
}

void copy_text(char *to, const char *from, size_t size)
{
	size_t length = strlen(from);
	if (length > size - 1)
		length = size - 1;
	memcpy(to, from, length);
	to[length] = 0;
}

char *append_text(char *at, const char *text)
{
	size_t length = strlen(text);
	memcpy(at, text, length + 1);
	return at + length;
}

char *append_number(char *at, unsigned long number)
{
	if (number >= 10)
		at = append_number(at, number / 10);
	at[0] = (char)('0' + number % 10);
	at[1] = 0;
	return at + 1;
}

static int digit(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	if (letter >= 'a' && letter <= 'f')
		return letter - 'a' + 10;
	if (letter >= 'A' && letter <= 'F')
		return letter - 'A' + 10;
	return 16;
}

static int parse(const char *text, int radix, unsigned long *number)
{
	const char *first = text;
	for (*number = 0; digit(*text) < radix; text++)
		*number = *number * (unsigned)radix + (unsigned)digit(*text);
	return text != first && !*text;
}

int parse_hexadecimal(const char *text, unsigned long *number)
{
	if (text[0] == '0' && text[1] == 'x')
		text += 2;
	return parse(text, 16, number);
}

int parse_number(const char *text, unsigned long *number)
{
	if (text[0] == '0' && text[1] == 'x')
		return parse_hexadecimal(text, number);
	return parse(text, 10, number);
}

void exit_now(int status)
{
	for (;;)
		sys(__NR_exit_group, status);
}

int exit_code_of(int wait_status)
{
	int signal = wait_status & 0x7f;
	return signal ? 128 + signal : (wait_status >> 8) & 0xff;
}

void complain(const char *what, long result)
{
	char line[160] = "thaw-init: ";
	char *at = line + strlen(line);
	copy_text(at, what, 100);
	at += strlen(at);
	if (is_error(result)) {
		at = append_text(at, ": errno ");
		at = append_number(at, (unsigned long)-result);
	}
	at = append_text(at, "\n");
	sys(__NR_write, 2, line, at - line);
}
